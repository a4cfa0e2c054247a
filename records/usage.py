"""What an owner keeps: records, blobs, bytes, what deduplication saves, and orphans, by connector and stream."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blobstore.catalogue import Catalogue
from records.central import Owner
from records.store import RecordStore
from records.sums import Sums

Stream = tuple[str, str]
"""Connector and stream; the instances of a connector are counted together."""


@dataclass(slots=True)
class Row:
    """One stream; or, without connector and stream, all that an owner has.

    `blobs` are those that the stream's records link, each counted once, in the owner's row those that are stored.
    `saved_bytes` is what one copy for each link would take in addition; the owner's row counts what several connectors
    hold once more for each but one of them, from when it holds it until a collection lets go of it. `reserved_bytes` is
    the room of uploads under way, `quota_bytes` what may be kept in all (None: any number); both are the owner's. Sizes
    in bytes.
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
    """What an owner keeps; what it costs does not depend on the number of records and blobs.

    Each sum is of one moment, all of them together nearly so. Raises `SourceDown` where a connector does not answer.
    """
    engine, catalogue = await store.engines.of(owner.id), store.blobs.catalogue
    rows: dict[Stream, Row] = {}
    total = Row(owner.subject)
    for place, stats in (await engine.stats()).items():
        row = _row(rows, owner, place.connector, place.stream)
        for each in (row, total):
            each.records += stats.records
            each.record_bytes += stats.bytes
    sums = await engine.sums()
    for connector, of in sums.items():
        for stream, linked in of.streams.items():
            row = _row(rows, owner, connector, stream)
            row.blobs, row.blob_bytes = linked.blobs, linked.blob_bytes
            row.saved_bytes = linked.bytes - linked.blob_bytes
            total.saved_bytes += linked.bytes
        total.saved_bytes -= of.blob_bytes
    await _count_blobs(catalogue, owner, total)
    return Overview([rows[stream] for stream in sorted(rows) if rows[stream].records], total, _months(sums.values()))


async def usage_of(store: RecordStore, owner: Owner) -> list[Row]:
    """A row for each stream that has anything, and at the end one for all that the owner has."""
    overview = await overview_of(store, owner)
    return [*overview.streams, overview.total]


def _row(rows: dict[Stream, Row], owner: Owner, connector: str, stream: str) -> Row:
    return rows.setdefault((connector, stream), Row(owner.subject, connector, stream))


async def _count_blobs(catalogue: Catalogue, owner: Owner, total: Row) -> None:
    totals, volume = await catalogue.totals(owner.id), await catalogue.volume(owner.id)
    total.blobs, total.blob_bytes = totals.blobs, totals.bytes
    total.saved_bytes += totals.shared_bytes
    total.orphans, total.orphan_bytes = totals.orphan_blobs, totals.orphan_bytes
    total.reserved_bytes, total.quota_bytes = volume.reserved, volume.limit


def _months(every: Iterable[Sums]) -> list[Month]:
    months: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for sums in every:
        for month, of in sums.months.items():
            counts = months[month]
            counts[:] = [counts[0] + of.records, counts[1] + of.bytes, counts[2] + of.linked]
    return [Month(month, *months[month]) for month in sorted(months)]
