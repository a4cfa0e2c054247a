"""Checks of one owner's records: do data, links and holders say the same of every blob?

The data decides: a reference in a record needs a link, a link needs a holder and stored bytes. What is wrong deeper
down is named there and nowhere else: a reference without a link makes no holder superfluous.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from blobstore.catalogue import Holder, State
from blobstore.digest import Digest
from blobstore.findings import BATCH, Finding, Severity, Suspicion, certain
from records.central import Owner
from records.checks.accounts import accounts
from records.checks.relinking import Relinking, named
from records.engine import Engine
from records.model import Order, Partition, PartitionStats, Position, StoredRecord
from records.store import RecordStore
from records.writing.links import BlobRef

PIECE_BYTES = 8 << 20
"""JSON text read at a time, as far as the average record tells."""

_ALL = 1 << 62
"""No limit: what waits for its release is garbage, and little beside what is stored."""

NAMED = 3
"""Places that a message names; a record may have any number."""

_BY_HAND = {
    "lost_link": "; upload the blob again, delete the record and ingest it again",
    "extra_link": "; delete the record and ingest it again",
}
"""What mends a record that names a blob which is not stored."""


@dataclass(frozen=True, slots=True)
class _Links:
    """Where a record's data and its link rows differ; `digests` are the blobs that its data names there."""

    lost: Sequence[str]
    extra: Sequence[str]
    digests: frozenset[Digest]


class RecordChecks:
    """Checks of one owner's records. `references` comes before `holders`, which relies on what it found."""

    def __init__(self, store: RecordStore, owner: Owner, engine: Engine, down: Collection[str] = ()) -> None:
        """`down`: connectors whose records cannot be read. Those of others are looked at."""
        self._down = frozenset(down)
        self._catalogue = store.blobs.catalogue
        self._collector = store.collector
        self._central = store.central
        self._owner = owner
        self._engine = engine
        self._relinking = Relinking(self._catalogue, self._collector, owner.id, engine)
        self._needed: set[Digest] = set()
        """Blobs that some record names without a link."""

    async def files(self) -> AsyncIterator[Suspicion]:
        """The engine's own files and counters."""
        for line in await self._engine.check():
            message = f"the records of {self._owner.subject} disagree with themselves: {line}"
            yield certain(Finding("damaged_records", Severity.ERROR, f"records/{self._owner.id}", message))

    # -- references and links --------------------------------------------------------------------------------------

    async def references(self) -> AsyncIterator[Suspicion]:
        """Every record: are the blobs that its data names those that it links?"""
        for place, stats in (await self._stats()).items():
            async for page in self._pages(place, stats):
                for record, refs in await asyncio.to_thread(_references, page):
                    differing = await self._compare(record, refs)
                    if differing is not None:
                        self._needed |= differing.digests
                        yield partial(self._judge_links, place, record.key, "lost_link")
                        yield partial(self._judge_links, place, record.key, "extra_link")

    async def _stats(self) -> Mapping[Partition, PartitionStats]:
        if not self._down:
            return await self._engine.stats()
        there = [each.id for each in await self._central.connectors(self._owner.id) if each.id not in self._down]
        return {place: stats for each in there for place, stats in (await self._engine.stats(each)).items()}

    async def _pages(self, place: Partition, stats: PartitionStats) -> AsyncIterator[Sequence[StoredRecord]]:
        average = stats.bytes // stats.records + 1 if stats.records else 1
        limit = max(1, min(BATCH, PIECE_BYTES // average))
        after: Position | None = None
        while True:
            page = await self._engine.page([place], Order.ASC, after, limit)
            yield page.records
            if page.reached is None:
                return
            after = page.reached

    async def _compare(self, record: StoredRecord, refs: Sequence[BlobRef] | None) -> _Links | None:
        """How the record's links differ from its references (None: its data cannot be read)."""
        if refs is None:
            return _Links((), (), frozenset())
        placed = await self._engine.links_in(record.partition, record.key)
        linked = {each.link.pointer: each.link.digest for each in placed}
        names = {ref.pointer: await self._relinking.digest(ref) for ref in refs}
        lost = [place for place, digest in names.items() if not _is_link(linked, place, digest)]
        extra = [place for place in linked if place not in names or not _is_link(linked, place, names[place])]
        needed = frozenset(digest for place in lost if (digest := names[place]) is not None)
        return _Links(lost, extra, needed) if lost or extra else None

    async def _judge_links(self, place: Partition, key: str, kind: str) -> Finding | None:
        for record in await self._engine.get([place], [key]):
            [(_, refs)] = await asyncio.to_thread(_references, [record]) or [(record, ())]
            differing = await self._compare(record, refs)
            if differing is None or await self._engine.get([place], [key]) != [record]:
                return None
            subject = "/".join((self._owner.subject, place.connector, place.instance, place.stream, key))
            if refs is None:
                message = "its data is not what was ingested: it is no JSON, or names blobs in a form that is refused"
                return Finding("damaged_record", Severity.ERROR, subject, message) if kind == "lost_link" else None
            finding = _lost_link(subject, differing) if kind == "lost_link" else _extra_link(subject, differing)
            if finding is None:
                return None
            if await self._relinking.links(refs) is None:
                return replace(finding, message=finding.message + _BY_HAND[kind])
            mend = partial(self._relinking.mend, place, key)
            return replace(finding, repair="hold the blobs that its data names and link them, and no others", mend=mend)
        return None

    # -- links and holders -----------------------------------------------------------------------------------------

    async def holders(self) -> AsyncIterator[Suspicion]:
        """Every blob: do those hold it that link it, and are its bytes stored?

        Nothing is said where some who may link it cannot be asked.
        """
        if self._down:
            return
        waiting = set(await self._engine.unlinked(_ALL))
        if waiting:
            yield self._judge_waiting
        async for account in accounts(self._owner, self._engine, self._catalogue):
            if account.links and not account.kept:
                yield partial(self._judge_stored, account.digest)
                continue
            for connector in account.links.keys() - account.held.keys():
                yield partial(self._judge_unheld, account.digest, connector)
            for connector in account.held.keys() - account.links.keys():
                if (connector, account.digest) in waiting:
                    continue  # they are many after an erasure, and one finding tells of all
                yield partial(self._judge_holder, account.digest, connector, account.held[connector].version)

    async def _judge_stored(self, digest: Digest) -> Finding | None:
        # Links before generations: whoever links now held a stored blob before.
        linked = await self._engine.links_of(digest, limit=1)
        rows = await self._catalogue.generations(self._owner.id, digest)
        if not linked or any(row.state is not State.CONDEMNED for row in rows):
            return None
        place = linked[0].partition
        message = (
            f"records of {self._owner.subject} link it, first in stream {place.stream} of {place.connector},"
            " but no such blob is stored; upload the same bytes again"
        )
        return Finding("link_without_blob", Severity.ERROR, str(digest), message)

    async def _judge_unheld(self, digest: Digest, connector: str) -> Finding | None:
        if not await self._links(digest, connector) or await self._held(digest, connector) is not None:
            return None
        message = f"{connector} of {self._owner.subject} links it but does not hold it: a collection might remove it"
        mend = partial(self._catalogue.rehold, self._owner.id, connector, [digest])
        return Finding("lost_holder", Severity.ERROR, str(digest), message, "hold it again", mend)

    async def _judge_waiting(self) -> Finding | None:
        if not (waiting := await self._engine.unlinked(_ALL)):
            return None
        message = f"{len(waiting)} blobs have lost their last link; a collection releases them"
        return Finding("release_waiting", Severity.DEBRIS, f"records/{self._owner.id}", message)

    async def _judge_holder(self, digest: Digest, connector: str, version: int) -> Finding | None:
        # Links, then what waits for its release, then the holder: a release goes the other way round.
        if digest in self._needed or await self._links(digest, connector):
            return None
        waiting = (connector, digest) in await self._engine.unlinked(_ALL)
        held = await self._held(digest, connector)
        if held is None or held.version != version:
            return None
        message = f"{connector} of {self._owner.subject} holds it but has no link to it"
        if waiting or not held.confirmed:
            message += "; a collection releases it"
            return Finding("extra_holder", Severity.DEBRIS, str(digest), message)
        mend = partial(self._collector.release, self._owner.id, connector, [digest])
        repair = "count its links once more and release it"
        return Finding("extra_holder", Severity.ERROR, str(digest), message, repair, mend)

    async def _links(self, digest: Digest, connector: str) -> bool:
        first = await self._engine.links_of(digest, (Partition(connector, "", ""), "", ""), 1)
        return bool(first) and first[0].partition.connector == connector

    async def _held(self, digest: Digest, connector: str) -> Holder | None:
        return next(iter(await self._catalogue.holders(self._owner.id, connector, [digest])), None)


def _references(page: Sequence[StoredRecord]) -> list[tuple[StoredRecord, Sequence[BlobRef] | None]]:
    """The records that link or name blobs, with their references; None for data that cannot be read."""
    found = [(record, named(record.data)) for record in page]
    return [(record, refs) for record, refs in found if refs is None or refs or record.linked]


def _is_link(linked: Mapping[str, Digest], place: str, digest: Digest | None) -> bool:
    """Whether the place is linked, to this blob if it is known (an alias may name one that is not there any more)."""
    return place in linked and digest in (None, linked[place])


def _lost_link(subject: str, differing: _Links) -> Finding | None:
    if not differing.lost:
        return None
    message = (
        f"it names a blob at {_some(differing.lost)} but has no link there, so the blob is neither served nor kept"
        " because of it"
    )
    return Finding("lost_link", Severity.ERROR, subject, message)


def _extra_link(subject: str, differing: _Links) -> Finding | None:
    if not differing.extra:
        return None
    message = (
        f"it has a link at {_some(differing.extra)} where its data names no such blob, so the blob is kept for nothing"
    )
    return Finding("extra_link", Severity.ERROR, subject, message)


def _some(places: Sequence[str]) -> str:
    first = ", ".join(place or "its root" for place in places[:NAMED])
    return first if len(places) <= NAMED else f"{first} and {len(places) - NAMED} more places"
