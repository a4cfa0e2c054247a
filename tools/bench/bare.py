"""What the benchmarks of records are measured against: the engine's tables and bare SQLite, nothing else of it."""

import statistics
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect, make_file
from blobstore.sqlite.versions import Schema, prepare
from records.engines.sqlite.schema import MIGRATIONS
from records.model import Partition, Position, Put, SortKey
from records.writing.lines import ParsedPut, parse_line
from tools.bench.messages import declaration

BATCH = 500
PAGE = 100
PLACE = Partition("bench", "one", "messages")

_DECLARATION = declaration()


class Bare:
    """Writes rows with `executemany`, a commit and its fsync for each batch."""

    def __init__(self, path: Path) -> None:
        make_file(path)
        self._db = connect(path)
        prepare(path, self._db, Schema(MIGRATIONS))
        self._rows: list[tuple[object, ...]] = []
        self._columns = [row[1] for row in self._db.execute("PRAGMA table_info(records)")]

    def prepare(self, version: int, puts: Sequence[Put]) -> None:
        """Rows as they go into the table."""
        self._rows = []
        for number, put in enumerate(puts, version + 1):
            self._rows.append((1 << 40 | number, 1, put.key, 0, put.sort.cursor, number, 0, None, put.data.decode()))

    def write(self) -> None:
        """All rows in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def select(database: sqlite3.Connection, after: Position) -> list[object]:
    """A page of decoded records beyond a position."""
    rows = database.execute(_SELECT, (after.sort.cursor, after.key, PAGE))
    return [msgspec.json.decode(row[0]) for row in rows]


def position(database: sqlite3.Connection, number: int) -> Position:
    """Where the record of this number stands."""
    sql = "SELECT absent, cursor, key FROM records WHERE id = ?"
    absent, cursor, key = database.execute(sql, [1 << 40 | number]).fetchone()
    return Position(SortKey(bool(absent), cursor), PLACE, key)


_SELECT = """
SELECT data FROM records WHERE part = 1 AND absent = 0 AND (cursor, key) > (?, ?) ORDER BY cursor, key LIMIT ?
"""


def batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Lines in batches."""
    while batch := list(islice(lines, BATCH)):
        yield batch


def puts(lines: Sequence[bytes]) -> list[Put]:
    """The mutations that lines ask for."""
    parsed = (parse_line(line, _DECLARATION) for line in lines)
    return [each.put(()) for each in parsed if isinstance(each, ParsedPut)]


def row(figure: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> dict[str, object]:
    """A figure, and whether it is where it must be."""
    within = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
    return {"figure": figure, "value": round(value, 3), "at_most": at_most, "at_least": at_least, "within": within}


def percentile(times: Sequence[float], at: int) -> float:
    """The time within which `at` of a hundred are done."""
    return statistics.quantiles(times, n=100)[at - 1]
