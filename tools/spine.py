"""`blobstore spine`: an owner's audit log."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from records.audit import heads
from records.audit.checkpoints import Checkpoints
from records.audit.verification import PAGE, Verification
from records.central import Checkpoint, Owner
from records.signing import MAX_SIZE, NotGenuine, SignedDocument
from records.store import RecordStore
from tools.json_array import JsonArray
from tools.looking import known_owner, run_looking
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, listing

UNFIT = 2
"""Exit code where a document cannot be held against the spine."""


class _Known(click.ParamType[tuple[int, bytes]]):
    """SEQ:HASH, as `verify` prints the head."""

    name = "SEQ:HASH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, bytes]:
        seq, _, digest = str(value).partition(":")
        try:
            known = int(seq), bytes.fromhex(digest)
        except ValueError:
            known = 0, b""
        if known[0] < 1 or len(known[1]) != 32:
            self.fail("a number, a colon and 64 hexadecimal digits", param, ctx)
        return known


@click.group()
def spine() -> None:
    """The append-only, hash-chained audit logs."""


@spine.command()
@store_options
@click.option("--owner", required=True, help="Whose log.")
def checkpoint(opening: Opening, owner: str) -> None:
    """Print the newest checkpoint, a signed document to be kept elsewhere; made when the log has moved on."""

    async def work(store: RecordStore) -> Checkpoint:
        return await store.checkpoints.newest(await known_owner(store, owner))

    click.echo(run_with_store(opening, work).document)


@spine.command()
@store_options
@click.option("--owner", required=True, help="Whose log.")
@json_option
def checkpoints(opening: Opening, owner: str, as_json: bool) -> None:
    """List the checkpoints that are kept here; with --json also the documents themselves."""

    async def work(store: RecordStore) -> list[Checkpoint]:
        of, found = await known_owner(store, owner), list[Checkpoint]()
        while page := await store.checkpoints.listed(of, found[-1].seq if found else 0, PAGE):
            found += page
        return found

    rows = [_row(each) for each in run_looking(opening, work)]
    listing(rows, as_json=as_json, columns=("seq", "at", "hash", "made_at"))


@spine.command()
@store_options
@click.option("--owner", required=True, help="Whose log.")
@click.option(
    "--known",
    multiple=True,
    type=_Known(),
    help="A head that was kept elsewhere; without any, who has the server's secret can make the whole chain anew.",
)
@click.option(
    "--checkpoint",
    "kept",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A signed document that was kept elsewhere and tells a head: a checkpoint, a receipt.",
)
@click.option("--public-key", help="Whose signature the documents have; this server's unless told.")
@json_option
def verify(
    opening: Opening,
    owner: str,
    known: tuple[tuple[int, bytes], ...],
    kept: tuple[Path, ...],
    public_key: str | None,
    as_json: bool,
) -> None:
    """Check that no event was edited, dropped, added or moved, and no end cut off. Exit code 1 when one was."""

    async def work(store: RecordStore) -> Verification:
        of = await known_owner(store, owner)
        told = await _read(store.checkpoints, of, kept, public_key)
        return await store.checkpoints.verify(of, _merged([*known, *told]))

    found = run_looking(opening, work)
    _show(owner, found, as_json)
    if found.faults or found.void:
        raise click.exceptions.Exit(1)


async def _read(
    checkpoints: Checkpoints, owner: Owner, kept: Sequence[Path], public_key: str | None
) -> list[tuple[int, bytes]]:
    told = []
    for path in kept:
        with path.open("rb") as file:
            text = file.read(MAX_SIZE + 1)
        try:
            head = await checkpoints.read(owner, text, public_key)
        except NotGenuine as error:
            raise _UnfitError(f"{path} proves nothing about the log of {owner.subject}: {error}") from error
        told.append((head.seq, bytes.fromhex(head.hash)))
    return told


class _UnfitError(click.ClickException):
    exit_code = UNFIT


def _merged(told: Sequence[tuple[int, bytes]]) -> Mapping[int, bytes]:
    known = dict[int, bytes]()
    for seq, digest in told:
        if known.setdefault(seq, digest) != digest:
            raise _UnfitError(
                f"what was kept elsewhere disagrees about event {seq}: one of the two is of another chain"
            )
    return known


def _row(of: Checkpoint) -> dict[str, object]:
    row: dict[str, object] = {"seq": of.seq, "at": None, "hash": None, "made_at": of.made_at, "document": None}
    try:
        document = SignedDocument.verify(of.document)
        head = heads.embedded(document).spine_head
    except NotGenuine:
        return row  # `verify` says what is wrong with it
    if head is not None:
        row |= {"at": head.at, "hash": head.hash, "document": json.loads(of.document)}
    return row


def _show(owner: str, found: Verification, as_json: bool) -> None:
    head = found.head
    if as_json:
        array = JsonArray()
        array.add(
            {
                "owner": owner,
                "verified": not (found.faults or found.void),
                "events": found.events,
                "head_seq": None if head is None else head.seq,
                "head_hash": None if head is None else head.hash.hex(),
                "head_at": None if head is None else head.at,
                "faults": [{"seq": fault.seq, "message": fault.message} for fault in (*found.faults, *found.void)],
            }
        )
        array.close()
        return
    faults = [*found.faults, *found.void]
    for fault in faults:
        click.echo(fault.message)
    verdict = f"{len(faults)} faults" if faults else "sound"
    click.echo(f"{verdict}: {found.events:,} events of {owner}")
    if head is not None:
        click.echo(f"head {head.seq}:{head.hash.hex()} of {head.at}")
