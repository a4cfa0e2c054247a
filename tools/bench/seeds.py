"""Large streams of the messages, written past the engine: as it makes its rows, without a commit for each 500."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec

from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect
from records.engines.sqlite import SqliteEngine
from records.history import Recorder
from records.model import Batch
from tools.bench.bare import PLACE, puts
from tools.bench.messages import messages

_START = datetime(2024, 1, 1, tzinfo=UTC)
Row = tuple[object, ...]


async def seeded(path: Path, count: int) -> sqlite3.Connection:
    """Make a file with so many records of `PLACE`; a connection of its own to it.

    The engine writes the first record; the others are its likes, with other keys and times.
    """
    first = next(messages(1))
    engine = await SqliteEngine.open(path)
    recorder = Recorder(bytes(32), "sent_at")
    await engine.apply(Batch(PLACE, puts([first]), 0, None, append_only=False, event=None, recorder=recorder))
    await engine.close()
    with closing(connect(path)) as db:
        for setting in ("synchronous = OFF", "wal_autocheckpoint = 100000", "cache_size = -500000"):
            db.execute(f"PRAGMA {setting}")
        columns = [row[1] for row in db.execute("PRAGMA table_info(records)")]
        sample = dict(zip(columns, db.execute("SELECT * FROM records").fetchone(), strict=True))
        sql = f"INSERT INTO records VALUES ({', '.join('?' * len(columns))})"
        rows = _likes(sample, msgspec.json.decode(first)["data"], count)
        while some := list(islice(rows, 100_000)):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(sql, some)
            db.execute("COMMIT")
        counted = "records = (SELECT count(*) FROM records), bytes = records * ?"
        db.execute(f"UPDATE partitions SET version = ?, {counted}", (count, len(sample["data"])))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return connect(path)


def _likes(sample: dict[str, object], data: dict[str, str], count: int) -> Iterator[Row]:
    """Rows with rising keys and times; in `cursor` and `data` the sample's give way to them."""
    text, cursor = str(sample["data"]), sample["cursor"]
    assert isinstance(cursor, bytes)
    assert isinstance(sample["id"], int)
    before, _, after = cursor.partition(data["sent_at"].encode())
    parts = text.replace(data["sent_at"], "\0").replace(data["ts"], "\1")
    # Rows are made by formatting alone: there are millions.
    pattern = parts.replace("%", "%%").replace("\0", "%(at)s").replace("\1", "%(ts)s")
    key = data["id"].replace(data["ts"], "%(ts)s")
    assert key % {"ts": data["ts"]} == sample["key"]
    for number in range(1, count):
        moment = _START + timedelta(days=400, seconds=number, microseconds=number % 1_000_000)
        values = {
            "at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "ts": f"{1_738_000_000 + number}.{number % 1_000_000:06}",
        }
        own = {
            "id": sample["id"] + number,
            "key": key % values,
            "cursor": before + values["at"].encode() + after,
            "data": pattern % values,
        }
        yield tuple({**sample, **own}.values())
