"""What `records.transfer` copies as a connector's rows."""

from collections.abc import Mapping, Sequence

from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale
from records.engines.sqlite.schema import (
    LINK,
    Row,
    add_records,
    connector_id,
    in_lists,
    link_rows,
    part_of,
    record_row,
    take_links,
)
from records.engines.sqlite.summing import sum_up, unlinked_in
from records.engines.summing import Change
from records.model import Partition, PartitionStats
from records.times import unpacked
from records.transfer import Grave, Held, Item, Past, Piece, State


def held_here(db: sqlite3.Connection, connector: str) -> dict[Partition, PartitionStats]:
    """How far the copy has come."""
    rows = db.execute(_COPIED, (connector,))
    return {Partition(connector, *row[:2]): PartitionStats(*row[2:]) for row in rows}


def load(db: sqlite3.Connection, piece: Piece, copied: Mapping[Partition, PartitionStats]) -> bool:
    """Add what is new in the piece; True."""
    state = piece.state
    connector = connector_id(db, state.connector)
    news = piece.news(copied)
    for place in piece.reached:
        _forget(db, place, copied.get(place), state.partitions[place])
    for place in news:
        start = copied[place].version if place in copied else 0
        items = [each for each in piece.items if each.partition == place and each.version > start]
        part = part_of(db, place)
        if part is None:
            part = int(db.execute(_NEW_PART, (connector, place.instance, place.stream)).fetchone()[0])
        held = [each for each in items if isinstance(each, Held)]
        change = Change()
        change.come((each.record.emitted_at, len(each.record.data), each.links) for each in held)
        gone = _remove(db, part, sorted({_key(each) for each in items}), change)
        fresh = unlinked_in(db, part, change.fresh)
        _insert(db, connector, part, items)
        sum_up(db, part, change, fresh)
        _count(db, part, gone, held)
    for place, version in piece.reached.items():
        of = state.partitions[place]
        version = max(version, copied[place].version if place in copied else 0)
        db.execute(_REACHED, (version, of.updated_at, of.floor, part_of(db, place)))
    if piece.whole:
        _set_rest(db, connector, state)
    return True


def _key(item: Item) -> str:
    match item:
        case Held(record=record):
            return record.key
        case Grave(tombstone=tombstone):
            return tombstone.key
        case Past(key=key):
            return key


def _forget(db: sqlite3.Connection, place: Partition, there: PartitionStats | None, now: PartitionStats) -> None:
    """The floor rose since: what is below is forgotten here too."""
    if there is not None and there.floor < now.floor:
        mark_stale(db)
        part = part_of(db, place)
        db.execute("DELETE FROM history WHERE part = ? AND until <= ?", (part, now.floor))
        db.execute("DELETE FROM tombstones WHERE part = ? AND version <= ?", (part, now.floor))


def _remove(db: sqlite3.Connection, part: int, keys: Sequence[str], change: Change) -> tuple[int, int, int]:
    """What the copy has of these keys is superseded; how many records, bytes and links that were.

    `change` is told of them.
    """
    rows: list[Row] = []
    for marks, some in in_lists(keys):
        sql = f"SELECT id, key, links, octet_length(data), emitted_at FROM records WHERE part = ? AND key IN {marks}"
        rows += db.execute(sql, (part, *some)).fetchall()
        db.execute(f"DELETE FROM tombstones WHERE part = ? AND key IN {marks}", (part, *some))
    taken = take_links(db, part, [row[1] for row in rows if row[2]])
    for _, key, _, size, emitted_at in rows:
        change.go(unpacked(emitted_at), size, taken.get(key, ()))
    db.executemany("DELETE FROM records WHERE id = ?", [row[:1] for row in rows])
    if rows:
        mark_stale(db)
    return len(rows), sum(row[3] for row in rows), sum(row[2] for row in rows)


def _insert(db: sqlite3.Connection, connector: int, part: int, items: Sequence[Item]) -> None:
    held = [each for each in items if isinstance(each, Held)]
    records = ((each.record, len(each.links)) for each in held)
    add_records(db, (record_row(part, of.version, of, links, of.revisions) for of, links in records))
    db.executemany(LINK, [row for each in held for row in link_rows(connector, part, each.record.key, each.links)])
    graves = [(each.tombstone, each.at) for each in items if isinstance(each, Grave)]
    rows = [(part, of.version, of.key, of.deleted_at, of.emitted_at, at) for of, at in graves]
    db.executemany("INSERT INTO tombstones VALUES (?, ?, ?, ?, ?, ?)", rows)
    past = [
        (part, each.version, each.key, each.began, each.at, each.erased, each.remembered)
        for each in items
        if isinstance(each, Past)
    ]
    db.executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)", past)


def _count(db: sqlite3.Connection, part: int, gone: tuple[int, int, int], held: Sequence[Held]) -> None:
    come = (len(held), sum(len(each.record.data) for each in held), sum(len(each.links) for each in held))
    newest = max((each.record.emitted_at for each in held), default=None)
    change = [now - was for now, was in zip(come, gone, strict=True)]
    db.execute(_COUNT, (*change, newest, part))


def _set_rest(db: sqlite3.Connection, connector: int, state: State) -> None:
    """Replace what is little as a whole."""
    everywhere = state.epochs.get((None, None), 0)
    db.execute(_CONNECTOR, (everywhere, state.release_epoch, state.disturbances, connector))
    db.execute("UPDATE versions SET base = max(base, ?)", (state.base,))
    db.execute("DELETE FROM epochs WHERE connector = ?", (connector,))
    epochs = [(connector, *place, epoch) for place, epoch in state.epochs.items() if place[0] is not None]
    db.executemany("INSERT INTO epochs VALUES (?, ?, coalesce(?, ''), ?)", epochs)
    db.execute("DELETE FROM erased WHERE part IN (SELECT id FROM partitions WHERE connector = ?)", (connector,))
    erased = [(erasure, part_of(db, place), n) for erasure, of in state.erased.items() for place, n in of.items()]
    db.executemany("INSERT INTO erased VALUES (?, ?, ?)", erased)
    db.execute("DELETE FROM finished WHERE connector = ?", (connector,))
    finished = [(erasure, connector, instance or "") for erasure, instance in sorted(state.finished, key=str)]
    db.executemany("INSERT INTO finished VALUES (?, ?, ?)", finished)
    noted = {row[0] for row in db.execute("SELECT digest FROM unlinked WHERE connector = ?", (connector,))}
    wanted = [digest.raw for digest in state.unlinked]
    gone = [(connector, digest) for digest in noted - set(wanted)]
    db.executemany("DELETE FROM unlinked WHERE connector = ? AND digest = ?", gone)
    come = [(connector, digest) for digest in wanted if digest not in noted]
    db.executemany("INSERT INTO unlinked (connector, digest) VALUES (?, ?)", come)


_COPIED = """
SELECT p.instance, p.stream, p.records, p.bytes, p.links, p.version, p.updated_at, p.floor
FROM connectors c JOIN partitions p ON p.connector = c.id WHERE c.name = ?
"""

_NEW_PART = "INSERT INTO partitions (connector, instance, stream) VALUES (?, ?, ?) RETURNING id"

_COUNT = """
UPDATE partitions SET records = records + ?, bytes = bytes + ?, links = links + ?,
    updated_at = nullif(max(coalesce(updated_at, ''), coalesce(?, '')), '')
WHERE id = ?
"""

_REACHED = """
UPDATE partitions SET version = ?, updated_at = CASE WHEN records > 0 THEN coalesce(?, updated_at) END, floor = ?
WHERE id = ?
"""

_CONNECTOR = "UPDATE connectors SET epoch = ?, release_epoch = ?, disturbances = ? WHERE id = ?"
