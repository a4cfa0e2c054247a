"""`blobstore explain`: why a blob is there, or why it is not any more."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import click

from blobstore.digest import Digest
from blobstore.errors import InvalidBlobId
from records.central import Owner
from records.explanation import Explanation, Fact, digest_of
from records.store import RecordStore
from records.times import duration
from tools.json_array import JsonArray
from tools.looking import run_looking
from tools.opening import Opening, store_options
from tools.output import json_option, size


@click.command()
@store_options
@click.argument("blob")
@click.option("--grace", default="24h", show_default=True, help="How long collections spare an orphan.")
@json_option
def explain(opening: Opening, blob: str, grace: str, as_json: bool) -> None:
    """Show every link, claim, holder, lease and deadline of BLOB (blob_b3_… or blob_sha256_…).

    After its deletion: what removed it. The same bytes of several owners are several blobs: each is explained. Exit
    code 1 when nobody has it or had it.
    """
    try:
        seconds = 0.0 if grace == "0" else duration(grace).total_seconds()
    except ValueError as error:
        raise click.BadParameter("a number and one of s, m, h, d, w", param_hint="--grace") from error
    array = JsonArray() if as_json else None

    async def work(store: RecordStore) -> int:
        owners = 0
        for owner in await store.central.owners():
            digest = await _digest(store, owner, blob)
            known = False
            async for fact in Explanation(store, owner, digest, seconds).facts() if digest else _nothing():
                known = True
                if array is None:
                    click.echo(_TEXTS[fact["what"]](fact))
                else:
                    array.add(fact)
            owners += known
        return owners

    known = run_looking(opening, work)
    if array is not None:
        array.close()
    if not known:
        raise click.ClickException(f"no owner has {blob}, and nothing is remembered of it")


async def _digest(store: RecordStore, owner: Owner, blob: str) -> Digest | None:
    try:
        return await digest_of(store, owner, blob)
    except InvalidBlobId:
        raise click.ClickException(
            f"{blob} is no blob's id: blob_b3_ or blob_sha256_, and 64 lower-case hexadecimal digits"
        ) from None


async def _nothing() -> AsyncIterator[Fact]:
    return
    yield


def _where(fact: Mapping[str, Any]) -> str:
    return "{connector}, {instance}: {stream} {key}, {place}".format_map(fact)


def _generation_text(fact: Mapping[str, Any]) -> str:
    text = f"  {fact['state']}: {size(fact['size_bytes'])}, generation {fact['generation']}, sha256 {fact['sha256']}"
    orphan = "" if fact["orphaned_at"] is None else f"; an orphan since {fact['orphaned_at']}"
    return f"{text}, verified {fact['verified_at']}{orphan}"


def _removed_text(fact: Mapping[str, Any]) -> str:
    return (
        f"  removed {fact['removed_at']}: {size(fact['size_bytes'])}, generation {fact['generation']},"
        f" because of {fact['reason']}" + (f" (collection {fact['collection']})" if fact["collection"] else "")
    )


_TEXTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "blob": lambda fact: f"{fact['blob_id']} of {fact['owner']}\n  {fact['verdict']}",
    "generation": _generation_text,
    "removed": _removed_text,
    "holder": lambda fact: f"  held by {fact['connector']}" + ("" if fact["confirmed"] else " (not confirmed yet)"),
    "claim": lambda fact: (
        f"  claimed until {fact['expires_at']}{', which is over,' if fact['expired'] else ''} by {_where(fact)}"
    ),
    "lease": lambda fact: f"  being uploaded by {fact['connector']}, {fact['instance']} until {fact['expires_at']}",
    "link": lambda fact: (
        f"  linked by {_where(fact)} as {fact['media_type']}" + (f", {fact['filename']}" if fact["filename"] else "")
    ),
}
