"""A connector's rows as what `records.transfer` copies."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence

from blobstore.digest import Digest
from blobstore.postgres import Connection, Record
from records.engines.postgres.reads import links_of_keys
from records.engines.postgres.rows import BUDGETED, COLUMNS, PIECE, PIECE_BYTES, record
from records.engines.postgres.schema import connector_id, part_of
from records.model import Link, Partition, PartitionStats, Tombstone
from records.transfer import Grave, Held, Item, Past, State


async def state_of(db: Connection, owner: str, connector: str) -> State:
    """All of it but its items."""
    place = (owner, connector_id(connector))
    row = await db.fetchrow(_CONNECTOR, *place)
    epoch, release_epoch, disturbances = row or (0, 0, 0)
    epochs: dict[tuple[str | None, str | None], int] = {(None, None): epoch} if epoch else {}
    for instance, stream, raised in await db.fetch(_EPOCHS, *place):
        epochs[instance.decode(), stream.decode() or None] = raised
    erased: defaultdict[str, dict[Partition, int]] = defaultdict(dict)
    for erasure, instance, stream, records in await db.fetch(_ERASED, *place):
        erased[erasure][Partition(connector, instance.decode(), stream.decode())] = records
    finished = await db.fetch(_FINISHED, *place)
    return State(
        connector,
        await copied(db, owner, connector),
        epochs,
        release_epoch,
        [Digest.from_bytes(digest) for (digest,) in await db.fetch(_UNLINKED, *place)],
        dict(erased),
        frozenset((erasure, instance.decode() or None) for erasure, instance in finished),
        await db.fetchval("SELECT base FROM records.owners WHERE owner = $1", owner) or 0,
        disturbances,
    )


async def copied(db: Connection, owner: str, connector: str) -> dict[Partition, PartitionStats]:
    """What is kept of the connector here, and how far it has come."""
    rows = await db.fetch(_STATS, owner, connector_id(connector))
    return {Partition(connector, row[0].decode(), row[1].decode()): PartitionStats(*row[2:]) for row in rows}


async def items_of(
    db: Connection, owner: str, places: Sequence[Partition], since: Mapping[Partition, int]
) -> AsyncGenerator[Sequence[Item], None]:
    """What came to the partitions after these versions, in their order and that of versions, in pieces."""
    for place in places:
        part, start = part_of(place), since.get(place, 0)
        while True:
            rows = await db.fetch(_ITEMS, owner, part, start, PIECE, PIECE_BYTES)
            piece = _whole_versions(rows)
            held = [row for row in piece if row["n"] == _HELD]
            links = await links_of_keys(db, owner, part, [row["key"] for row in held if row["links"]])
            yield [_item(place, row, links.get(row["key"], [])) for row in piece]
            if len(rows) < PIECE and len(piece) == len(rows):
                break
            start = piece[-1]["version"]


def _whole_versions(rows: Sequence[Record]) -> Sequence[Record]:
    """The first of the rows, up to those whose data was left out, or where others of the last version may follow."""
    end = next((n for n, row in enumerate(rows) if row["n"] == _HELD and row["data"] is None), len(rows))
    if end == len(rows) < PIECE:
        return rows
    last = rows[min(end, len(rows) - 1)]["version"]
    return [row for row in rows[:end] if row["version"] != last]


def _item(place: Partition, row: Record, links: Sequence[Link]) -> Item:
    if row["n"] == _HELD:
        return Held(record(place, row), tuple(links))
    key, version = row["key"].decode(), row["version"]
    if row["n"] == _GRAVE:
        return Grave(place, Tombstone(key, version, row["deleted_at"], row["emitted_at"]), row["at"])
    return Past(place, key, row["began"], version, row["at"], row["erased"], row["remembered"])


_PAST, _HELD, _GRAVE = 1, 2, 3
"""Kinds of items, in the order in which those of one version come."""

_CONNECTOR = "SELECT epoch, release_epoch, disturbances FROM records.connectors WHERE owner = $1 AND id = $2"

_STATS = """
SELECT instance, stream, records, bytes, links, version, updated_at, floor FROM records.partitions
WHERE owner = $1 AND connector = $2 ORDER BY instance, stream
"""

_EPOCHS = """
SELECT instance, stream, epoch FROM records.epochs WHERE owner = $1 AND connector = $2 ORDER BY instance, stream
"""

_UNLINKED = "SELECT digest FROM records.unlinked WHERE owner = $1 AND connector = $2 ORDER BY digest"

_ERASED = """
SELECT e.erasure, p.instance, p.stream, e.records
FROM records.partitions p JOIN records.erased e ON e.owner = $1 AND e.part = p.part
WHERE p.owner = $1 AND p.connector = $2
"""

_FINISHED = "SELECT erasure, instance FROM records.finished WHERE owner = $1 AND connector = $2"

_BEYOND = "WHERE owner = $1 AND part = $2 AND {version} > $3 ORDER BY {version} LIMIT $4"

_ROWS = f"""
    SELECT * FROM (
        (SELECT {_PAST} AS n, key, NULL::boolean AS absent, NULL::bytea AS cursor, NULL AS emitted_at, until AS version,
                NULL::integer AS links, NULL::bytea AS revisions, NULL::bytea AS data, NULL AS deleted_at,
                version AS began, at, erased, remembered
         FROM records.history {_BEYOND.format(version="until")})
        UNION ALL
        (SELECT {_HELD}, {COLUMNS}, NULL, NULL, NULL, NULL, NULL
         FROM records.records {_BEYOND.format(version="version")})
        UNION ALL
        (SELECT {_GRAVE}, key, NULL, NULL, emitted_at, version, NULL, NULL, NULL, deleted_at, NULL, at, NULL, NULL
         FROM records.tombstones {_BEYOND.format(version="version")})
    ) AS each ORDER BY version, n LIMIT $4
"""

_ITEMS = BUDGETED.format(
    rows=_ROWS, more=", deleted_at, began, at, erased, remembered", order="version, n", budget="$5::bigint"
)
