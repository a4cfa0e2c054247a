"""`blobstore explain`: why a blob is there, or why it is not any more."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from blobstore.catalogue import ClaimedBlob, Gone, Standing, State
from blobstore.checks import standings_of, survey
from blobstore.digest import PREFIX, Digest, parse_sha256_alias
from blobstore.errors import InvalidBlobId
from records.central import Owner
from records.slots import parse
from records.store import RecordStore
from records.times import duration
from tools.json_array import JsonArray
from tools.looking import run_looking
from tools.opening import Opening, store_options
from tools.output import json_option, size

PAGE = 500

Fact = dict[str, Any]
"""`what` says which kind; the first fact about a blob is its summary, with what decides its fate."""


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
            async for fact in _Explanation(store, owner, digest, seconds).facts() if digest else _nothing():
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
    """The digest that an id or an alias means for this owner. Raises `click.ClickException` for what is no id."""
    try:
        if blob.startswith(PREFIX):
            return Digest.parse(blob)
        sha256 = parse_sha256_alias(blob)
    except InvalidBlobId:
        raise click.ClickException(
            f"{blob} is no blob's id: blob_b3_ or blob_sha256_, and 64 lower-case hexadecimal digits"
        ) from None
    stored = await store.blobs.catalogue.find_sha256(owner.id, sha256)
    if stored is not None:
        return stored.name.digest
    async for page in survey(store.blobs.catalogue, owner.id):  # an alias that is not live is in no index
        for standing in page:
            if standing.stored.sha256 == sha256:
                return standing.stored.name.digest
    return None


async def _nothing() -> AsyncIterator[Fact]:
    return
    yield


class _Explanation:
    """One blob of one owner."""

    def __init__(self, store: RecordStore, owner: Owner, digest: Digest, grace: float) -> None:
        self._store = store
        self._catalogue = store.blobs.catalogue
        self._owner = owner
        self._digest = digest
        self._grace = grace

    async def facts(self) -> AsyncIterator[Fact]:
        """What is known of it, links last; nothing when nothing is."""
        owner, digest = self._owner.id, self._digest
        standings = await standings_of(self._catalogue, owner, digest)
        gone = await self._catalogue.gone(owner, digest)
        holders = await self._catalogue.holders_of(owner, digest)
        claims = await self._catalogue.claims_of(owner, digest)
        leases = [each for each in await self._catalogue.leases() if each.namespace == owner]
        leases = [each for each in leases if each.content is not None and each.content.digest == digest]
        links = [fact async for fact in self._links(1)]
        if not (standings or gone or holders or claims or leases or links):
            return
        yield self._fact("blob", verdict=self._verdict(standings, gone, bool(links)))
        for standing in standings:
            yield self._generation(standing)
        for removed in gone:
            yield await self._removed(removed)
        for holder in holders:
            yield self._fact("holder", connector=holder.holder, confirmed=holder.confirmed)
        for claimed in claims:
            yield self._claim(claimed)
        for lease in leases:
            yield self._fact("lease", connector=lease.holder, instance=lease.scope, expires_at=_time(lease.expires_at))
        async for link in self._links():
            yield link

    def _fact(self, what: str, **members: object) -> Fact:
        return {"what": what, "owner": self._owner.subject, "blob_id": str(self._digest), **members}

    def _verdict(self, standings: list[Standing], gone: list[Gone], linked: bool) -> str:
        states = {each.stored.state: each for each in standings}
        if (live := states.get(State.LIVE)) is None:
            if State.QUARANTINED in states:
                return "quarantined: its bytes are damaged; uploading them again heals it"
            if State.CONDEMNED in states:
                return "condemned: the next collection removes its bytes"
            return "removed" if gone else "not stored, though something refers to it: run doctor"
        if linked:
            return "kept: records link it"
        if live.holders:
            return "kept until the next collection releases it: it is held, but no record links it"
        if live.claims:
            return "kept while it is claimed: its record has not come yet"
        if live.orphaned_at is None:
            return "nobody uses it, and no collection will find it: run doctor"
        return f"an orphan: a collection removes it after {_time(live.orphaned_at + self._grace)}"

    def _generation(self, standing: Standing) -> Fact:
        stored, since = standing.stored, standing.orphaned_at
        return self._fact(
            "generation",
            generation=stored.name.generation,
            state=str(stored.state),
            size_bytes=stored.size,
            sha256=stored.sha256.hex(),
            verified_at=_time(stored.verified_at),
            orphaned_at=None if since is None else _time(since),
            collectable_at=None if since is None else _time(since + self._grace),
        )

    async def _removed(self, gone: Gone) -> Fact:
        kind, _, lane = gone.reason.partition(" ")
        job = await self._store.central.erasure(self._owner.id, lane) if kind == "erasure" else None
        return self._fact(
            "removed",
            generation=gone.name.generation,
            size_bytes=gone.size,
            reason=kind if kind == "garbage" else gone.reason,
            collection=lane if kind == "garbage" else None,
            removed_at=_time(gone.at),
            erasure=None if job is None else msgspec.json.decode(job.result or job.target),
        )

    def _claim(self, claimed: ClaimedBlob) -> Fact:
        claim = claimed.claim
        instance, stream, key, place = parse(claim.slot)
        return self._fact(
            "claim",
            connector=claim.holder,
            instance=instance,
            stream=stream,
            key=key,
            place=place,
            media_type=claim.media_type,
            expires_at=_time(claim.expires_at),
            expired=claim.expires_at <= time.time(),
        )

    async def _links(self, limit: int | None = None) -> AsyncIterator[Fact]:
        engine = await self._store.engines.of(self._owner.id)
        after = None
        while page := await engine.links_of(self._digest, after, limit or PAGE):
            for placed in page:
                part, link = placed.partition, placed.link
                yield self._fact(
                    "link",
                    connector=part.connector,
                    instance=part.instance,
                    stream=part.stream,
                    key=placed.key,
                    place=link.pointer,
                    media_type=link.media_type,
                    filename=link.filename,
                )
            if limit is not None:
                return
            after = (page[-1].partition, page[-1].key, page[-1].link.pointer)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
    "claim": lambda fact: f"  claimed until {fact['expires_at']} by {_where(fact)}",
    "lease": lambda fact: f"  being uploaded by {fact['connector']}, {fact['instance']} until {fact['expires_at']}",
    "link": lambda fact: (
        f"  linked by {_where(fact)} as {fact['media_type']}" + (f", {fact['filename']}" if fact["filename"] else "")
    ),
}
