"""What an owner keeps, added up from every record, link, holder and generation, with nothing that is kept of sums."""

from collections import Counter, defaultdict

from blobstore.catalogue import State
from blobstore.digest import Digest
from records.central import Owner
from records.store import RecordStore
from records.times import parse
from records.usage import Month, Overview, Row, Stream, overview_of


async def recounted(store: RecordStore, owner: Owner) -> Overview:
    """What `overview_of` must tell of an owner when nobody writes."""
    engine, catalogue = await store.engines.of(owner.id), store.blobs.catalogue
    records: defaultdict[Stream, list[int]] = defaultdict(list)
    links: defaultdict[Stream, Counter[Digest]] = defaultdict(Counter)
    months: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    sizes: dict[Digest, int] = {}
    holders: dict[Digest, int] = {}
    seen = await engine.visit(
        list(await engine.stats()), lambda every: [(record, [each.digest for each in some]) for record, some in every]
    )
    blobs = [each for each in await catalogue.survey(None, 1 << 20) if each.stored.name.namespace == owner.id]
    for each in blobs:
        sizes[each.stored.name.digest] = each.stored.size
        holders[each.stored.name.digest] = each.holders
    for record, digests in seen:
        stream = (record.partition.connector, record.partition.stream)
        records[stream].append(len(record.data))
        links[stream].update(digests)
        month = months[parse(record.emitted_at).strftime("%Y-%m")]
        for place, more in enumerate((1, len(record.data), sum(sizes[digest] for digest in digests))):
            month[place] += more
    rows = [_row(owner, stream, records[stream], links[stream], sizes) for stream in sorted(records)]
    live = [each for each in blobs if each.stored.state is State.LIVE]
    orphans = [each.stored.size for each in live if each.orphaned_at is not None]
    volume = await catalogue.volume(owner.id)
    total = Row(
        owner.subject,
        records=sum(row.records for row in rows),
        record_bytes=sum(row.record_bytes for row in rows),
        blobs=len(live),
        blob_bytes=sum(each.stored.size for each in live),
        saved_bytes=_saved_by_connectors(links, sizes)
        + sum((count - 1) * sizes[digest] for digest, count in holders.items() if count),
        orphans=len(orphans),
        orphan_bytes=sum(orphans),
        reserved_bytes=volume.reserved,
        quota_bytes=volume.limit,
    )
    return Overview(rows, total, [Month(month, *months[month]) for month in sorted(months)])


async def require_true_sums(store: RecordStore, owner: Owner) -> Overview:
    """Raise `AssertionError` where a sum is not what a recount finds, or a check would not find nothing wrong."""
    told = await overview_of(store, owner)
    assert told == await recounted(store, owner)
    engine = await store.engines.of(owner.id)
    assert [*await engine.check(), *await engine.resum(repair=False)] == []
    assert await store.blobs.catalogue.recount(repair=False) == []
    return told


def _row(owner: Owner, stream: Stream, records: list[int], links: Counter[Digest], sizes: dict[Digest, int]) -> Row:
    return Row(
        owner.subject,
        *stream,
        records=len(records),
        record_bytes=sum(records),
        blobs=len(links),
        blob_bytes=sum(sizes[digest] for digest in links),
        saved_bytes=sum((count - 1) * sizes[digest] for digest, count in links.items()),
    )


def _saved_by_connectors(links: dict[Stream, Counter[Digest]], sizes: dict[Digest, int]) -> int:
    of_each: defaultdict[str, Counter[Digest]] = defaultdict(Counter)
    for (connector, _), counts in links.items():
        of_each[connector].update(counts)
    return sum((count - 1) * sizes[digest] for counts in of_each.values() for digest, count in counts.items())
