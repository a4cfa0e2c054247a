"""What an owner keeps: records, blobs, bytes, what deduplication saves, and orphans, by connector and stream."""

from collections.abc import Sequence
from dataclasses import dataclass

from blobstore.catalogue import Catalogue
from records.central import Owner
from records.checks.accounts import Account, accounts
from records.engine import Engine
from records.store import RecordStore

Stream = tuple[str, str]
"""Connector and stream; the instances of a connector are counted together."""


@dataclass(slots=True)
class Row:
    """One stream; or, without connector and stream, all that an owner has.

    `blobs` are those that the stream's records link, each counted once, in the owner's row those that are stored.
    `saved_bytes` is what one copy for each link would take in addition. `reserved_bytes` is the room of uploads under
    way, `quota_bytes` what may be kept in all (None: any number); both are the owner's. Sizes in bytes.
    """

    owner: str
    connector: str | None = None
    stream: str | None = None
    records: int = 0
    record_bytes: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    saved_bytes: int = 0
    orphans: int | None = None
    orphan_bytes: int | None = None
    reserved_bytes: int | None = None
    quota_bytes: int | None = None

    @property
    def logical_bytes(self) -> int:
        """What the blobs would take if each link had a copy of its own, with those that nothing links."""
        return self.blob_bytes + self.saved_bytes


@dataclass(frozen=True, slots=True)
class Month:
    """What is kept of the records that were emitted in one month (UTC, `2026-11`), in all streams; sizes in bytes.

    `linked_bytes` counts each of their links with the size of its blob, however often a blob is linked.
    """

    month: str
    records: int
    record_bytes: int
    linked_bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """All that an owner keeps: a row for each stream that has anything, their sum, and months that have any records.

    The months are in order. Those in which nothing was emitted that is still there are left out.
    """

    streams: Sequence[Row]
    total: Row
    growth: Sequence[Month]


async def overview_of(store: RecordStore, owner: Owner) -> Overview:
    """What is shown at a glance; what it costs does not depend on the number of records and blobs."""
    *streams, total = await usage_of(store, owner)
    return Overview(streams, total, [])


async def usage_of(store: RecordStore, owner: Owner) -> list[Row]:
    """A row for each stream that has anything, and at the end one for all that the owner has."""
    return await _Usage(owner, await store.engines.of(owner.id), store.blobs.catalogue).rows()


class _Usage:
    """Counts one owner's; what is kept in memory grows with streams, not with records or blobs."""

    def __init__(self, owner: Owner, engine: Engine, catalogue: Catalogue) -> None:
        self._owner = owner
        self._engine = engine
        self._catalogue = catalogue
        self._streams: dict[Stream, Row] = {}
        self._total = Row(owner.subject)

    async def rows(self) -> list[Row]:
        """A row for each stream that has anything, and one for all."""
        await self._count_records()
        async for account in accounts(self._owner, self._engine, self._catalogue, held=False):
            self._count_blob(account)
        totals = await self._catalogue.totals(self._owner.id)
        self._total.blobs, self._total.blob_bytes = totals.blobs, totals.bytes
        self._total.orphans, self._total.orphan_bytes = totals.orphan_blobs, totals.orphan_bytes
        volume = await self._catalogue.volume(self._owner.id)
        self._total.reserved_bytes, self._total.quota_bytes = volume.reserved, volume.limit
        rows = [self._streams[stream] for stream in sorted(self._streams)]
        return [*(row for row in rows if row.records), self._total]

    async def _count_records(self) -> None:
        for place, stats in (await self._engine.stats()).items():
            stream = (place.connector, place.stream)
            row = self._streams.setdefault(stream, Row(self._owner.subject, *stream))
            for each in (row, self._total):
                each.records += stats.records
                each.record_bytes += stats.bytes

    def _count_blob(self, account: Account) -> None:
        size, every = account.size, 0
        for connector, by_stream in account.links.items():
            for stream, links in by_stream.items():
                row = self._streams.setdefault((connector, stream), Row(self._owner.subject, connector, stream))
                row.blobs += 1
                row.blob_bytes += size
                row.saved_bytes += (links - 1) * size
                every += links
        self._total.saved_bytes += max(0, every - 1) * size
