"""Why a blob is there, or why it is not any more: links, claims, holders, leases, deadlines, and what removed it."""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from blobstore.catalogue import ClaimedBlob, Gone, Standing, State
from blobstore.checks import standings_of, survey
from blobstore.digest import PREFIX, Digest, parse_sha256_alias
from records.central import Owner
from records.engine import Engine
from records.errors import Partly, SourceDown
from records.model import PlacedLink
from records.slots import parse
from records.store import RecordStore

PAGE = 500

GRACE = 24 * 3600.0
"""Seconds for which collections spare an orphan, where nobody says otherwise."""

Fact = dict[str, Any]
"""`what` says which kind; the first fact about a blob is its summary, with what decides its fate."""


async def digest_of(store: RecordStore, owner: Owner, blob: str) -> Digest | None:
    """The digest that an id or an alias means for this owner. Raises `InvalidBlobId` for what is neither."""
    if blob.startswith(PREFIX):
        return Digest.parse(blob)
    sha256 = parse_sha256_alias(blob)
    stored = await store.blobs.catalogue.find_sha256(owner.id, sha256)
    if stored is not None:
        return stored.name.digest
    async for page in survey(store.blobs.catalogue, owner.id):  # an alias that is not live is in no index
        for standing in page:
            if standing.stored.sha256 == sha256:
                return standing.stored.name.digest
    return None


class Explanation:
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
        leases = [each for each in await self._catalogue.leases() if each.namespace == owner and each.copies is None]
        leases = [each for each in leases if each.content is not None and each.content.digest == digest]
        links = [fact async for fact in self._links(1)]
        if not (standings or gone or holders or claims or leases or links):
            return
        yield self._fact("blob", verdict=self._verdict(standings, gone, claims, bool(links)))
        # Last the one that readers are given: others are on their way out.
        for standing in sorted(standings, key=lambda each: each.stored.state is not State.CONDEMNED):
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

    async def by_kind(self, links: int) -> dict[str, list[Fact]]:
        """The facts by `what`, with so many links at most; nothing when nothing is known."""
        kinds: dict[str, list[Fact]] = {}
        async for fact in self.facts():
            kinds.setdefault(fact["what"], []).append(fact)
            if len(kinds.get("link", ())) == links:  # they come last
                break
        return kinds

    def _fact(self, what: str, **members: object) -> Fact:
        return {"what": what, "owner": self._owner.subject, "blob_id": str(self._digest), **members}

    def _verdict(self, standings: list[Standing], gone: list[Gone], claims: Sequence[ClaimedBlob], linked: bool) -> str:
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
        if live.claims and all(map(_has_ended, claims)):
            return "kept until the next collection drops its claim, which has ended: no record came"
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
            expired=_has_ended(claimed),
        )

    async def _links(self, limit: int | None = None) -> AsyncIterator[Fact]:
        async for page in self._pages(limit or PAGE):
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

    async def _pages(self, size: int) -> AsyncIterator[list[PlacedLink]]:
        engine = await self._store.engines.of(self._owner.id)
        for connector in await self._linking(engine):
            after = None
            while page := await engine.links_of(self._digest, after, size, connector=connector):
                yield page
                after = (page[-1].partition, page[-1].key, page[-1].link.pointer)

    async def _linking(self, engine: Engine) -> list[str] | list[None]:
        """Whom to ask for links: all at once, or each of those that answer where others do not.

        Raises `SourceDown` where one that does not answer holds the blob: it links nothing that it does not hold.
        """
        try:
            await engine.linkers([self._digest])
        except Partly as partly:
            holders = await self._catalogue.holders_of(self._owner.id, self._digest)
            for holder in sorted({each.holder for each in holders} & set(partly.silent)):
                raise SourceDown(holder) from partly
            every = {each.id for each in await self._store.central.connectors(self._owner.id)}
            return sorted(every - set(partly.silent))
        return [None]


def _has_ended(claimed: ClaimedBlob) -> bool:
    return claimed.claim.expires_at <= time.time()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
