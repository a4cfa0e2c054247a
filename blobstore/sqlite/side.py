"""A SQLite file as one end of a move: what it gives away, and what it takes in.

It has a connection of its own, for a move keeps transactions open that await the other end. Whoever uses the file
otherwise learns that it has moved from `blobstore.sqlite.versions`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Migrations

from blobstore.durable import sync_folder
from blobstore.errors import Moved, WrongStore
from blobstore.locked import file_lock
from blobstore.moving.section import Row, Section
from blobstore.moving.sides import Change, Reading, Taking
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import begin, connect, make_file, make_place, translated
from blobstore.sqlite.file import lock_of
from blobstore.sqlite.versions import Schema, leave_behind, moved_to, prepare

T = TypeVar("T")

SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock")
"""What a database file consists of, and its lock."""


@dataclass(frozen=True, slots=True)
class Table:
    """How a section lies in the file, where it is not a table with its name and columns.

    `read`: a query with the section's columns. `clear`: statements. `write`: statements, each with the places in a row
    of what is bound in it.
    """

    read: str
    clear: tuple[str, ...] = ()
    write: Sequence[tuple[str, tuple[int, ...]]] = field(default=())


class SqliteSide:
    """Adapter of `blobstore.moving.sides.Source` and `Target`. Close it."""

    def __init__(self, path: Path, migrations: Migrations, sections: Sequence[Section], tables: Mapping[str, Table]):
        self._path = path
        self._schema = Schema(migrations)
        self._sections = {each.name: each for each in sections}
        self._tables = {each.name: tables.get(each.name) or _table(each) for each in sections}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"move-{path.name}")
        self._connection: sqlite3.Connection | None = None

    async def close(self) -> None:
        """Harmless when called twice."""
        if self._connection is not None:
            await self._run(self._connection.close)
            self._connection = None
        self._thread.shutdown()

    # -- reading ---------------------------------------------------------------------------------------------------

    async def page(self, section: Section, after: Row | None, limit: int) -> list[Row]:
        keys = ", ".join(section.keys)
        beyond = "" if after is None else f"WHERE ({keys}) > ({_marks(section.key)})"
        sql = f"SELECT * FROM ({self._tables[section.name].read}) {beyond} ORDER BY {keys} LIMIT ?"
        return await self._query(sql, *(after or ()), limit)

    async def rows(self, section: Section, keys: Sequence[Row]) -> list[Row]:
        named = " AND ".join(f"{column} = ?" for column in section.keys)
        sql = f"SELECT * FROM ({self._tables[section.name].read}) WHERE {named}"

        def run(db: sqlite3.Connection) -> list[Row]:
            return [row for key in keys for row in db.execute(sql, key)]

        return await self._do(run)

    async def all(self, section: Section) -> list[Row]:
        order = section.order or ", ".join(section.keys)
        read = self._tables[section.name].read
        return await self._query(
            f"{read} ORDER BY {order}" if section.order else f"SELECT * FROM ({read}) ORDER BY {order}"
        )

    async def changes(self, limit: int) -> list[Change]:
        rows = await self._query("SELECT number, section, a, b, c FROM changes ORDER BY number LIMIT ?", limit)
        return [Change(row[0], row[1], row[2 : 2 + self._sections[row[1]].key]) for row in rows]

    # -- giving away -----------------------------------------------------------------------------------------------

    async def moved(self) -> str | None:
        def run() -> str | None:
            with translated(self._path):
                try:
                    with closing(connect(self._path)) as connection:
                        return moved_to(connection)
                except Moved:  # it is not there
                    return "elsewhere"

        return await self._run(run)

    async def watch(self) -> None:
        def run(db: sqlite3.Connection) -> None:
            _drop_watch(db, self._sections.values())
            db.execute("CREATE TABLE changes (number INTEGER PRIMARY KEY, section TEXT NOT NULL, a, b, c)")
            for each in self._sections.values():
                if each.ahead:
                    for statement in _triggers(each):
                        db.execute(statement)

        await self._write(run)

    async def unwatch(self) -> None:
        await self._write(lambda db: _drop_watch(db, self._sections.values()))

    async def settle(self, changes: Collection[Change]) -> None:
        numbers = [(each.number,) for each in changes]
        await self._write(lambda db: db.executemany("DELETE FROM changes WHERE number = ?", numbers))

    async def one_moment(self, work: Callable[[Reading], Awaitable[None]]) -> None:
        try:
            await self._query("BEGIN")
            await work(self)
        finally:
            await self._end("ROLLBACK")

    async def leave(self, work: Callable[[Reading], Awaitable[bool]], place: str) -> bool:
        try:
            await self._do(begin)
            left = await work(self)
            if left:
                await self._do(lambda db: _leave(db, self._sections.values(), place))
            await self._end("COMMIT" if left else "ROLLBACK")
        except BaseException:
            await self._end("ROLLBACK")
            raise
        return left

    async def serves(self) -> bool:
        if await self.moved() is not None:
            return False
        return not await self._query("SELECT 1 FROM sqlite_schema WHERE name = 'coming'")

    async def remove(self) -> None:

        def run() -> None:
            with translated(self._path), file_lock(lock_of(self._path)):
                for suffix in SUFFIXES[:-1]:
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
                sync_folder(self._path.parent)

        if await self.serves():
            raise WrongStore(f"{self._path.name} has not moved away")
        await self.disconnect()
        await self._run(run)

    # -- taking in -------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        def run() -> None:
            with translated(self._path):
                make_place(self._path)
                with file_lock(lock_of(self._path)):
                    self._require_free()
                    for suffix in SUFFIXES[:-1]:
                        self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
                    make_file(self._path)
                    connection = connect(self._path)
                    connection.execute("CREATE TABLE coming (one INTEGER)")
                    prepare(self._path, connection, self._schema)
                    connection.close()

        await self.disconnect()
        await self._run(run)

    async def put(self, section: Section, keys: Collection[Row], rows: Sequence[Row]) -> None:
        named = " AND ".join(f"{column} = ?" for column in section.keys)

        def run(db: sqlite3.Connection) -> None:
            db.executemany(f"DELETE FROM {section.name} WHERE {named}", keys)
            self._insert(db, section, rows)

        await self._do(run)

    async def clear(self, sections: Sequence[Section]) -> None:
        for section in reversed(sections):
            await self._do(partial(self._clear, section))

    async def add(self, section: Section, rows: Sequence[Row]) -> None:
        await self._do(partial(self._clear, section))  # triggers may have filled it since, from sections before it
        await self._do(lambda db: self._insert(db, section, rows))

    async def take(self, work: Callable[[Taking], Awaitable[None]]) -> None:
        await self._do(lambda db: db.execute("PRAGMA foreign_keys = OFF").fetchall())  # sections come in no such order
        try:
            await self._do(begin)
            await work(self)
            await self._end("COMMIT")
        except BaseException:
            await self._end("ROLLBACK")
            raise

    async def faults(self) -> list[str]:
        return [row[0] for row in await self._query("PRAGMA quick_check") if row[0] != "ok"]

    async def arrived(self) -> None:
        await self._write(lambda db: db.execute("DROP TABLE IF EXISTS coming"))

    # -- within ----------------------------------------------------------------------------------------------------

    async def disconnect(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            await self._run(self._connection.close)
            self._connection = None

    async def _query(self, sql: str, *values: Any) -> list[Row]:
        return await self._do(lambda db: db.execute(sql, values).fetchall())

    async def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        try:
            await self._do(begin)
            await self._do(work)
            await self._end("COMMIT")
        except BaseException:
            await self._end("ROLLBACK")
            raise

    async def _end(self, how: str) -> None:
        await self._do(lambda db: db.execute(how) if db.in_transaction else None)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(partial(self._on_connection, work))

    def _on_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with translated(self._path):
            if self._connection is None:
                self._connection = connect(self._path)
                self._connection.execute("PRAGMA cache_size = -65536")
            return work(self._connection)

    async def _run(self, work: Callable[[], T]) -> T:
        # To its end, also where nobody waits for it any more: what follows counts on it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _insert(self, db: sqlite3.Connection, section: Section, rows: Sequence[Row]) -> None:
        for statement, places in self._tables[section.name].write:
            db.executemany(statement, [[row[place] for place in places] for row in rows])

    def _clear(self, section: Section, db: sqlite3.Connection) -> None:
        for statement in self._tables[section.name].clear:
            db.execute(statement)

    def _require_free(self) -> None:
        if not self._path.exists():
            return
        connection = connect(self._path)
        try:
            coming = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'coming'").fetchone()
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if coming is None and tables and moved_to(connection) is None:
                raise WrongStore(f"{self._path.name} is there, and in use; nothing is moved over it")
        finally:
            connection.close()


def _table(section: Section) -> Table:
    columns = ", ".join(section.columns)
    write = f"INSERT INTO {section.name} ({columns}) VALUES ({_marks(len(section.columns))})"
    return Table(
        f"SELECT {columns} FROM {section.name}",
        (f"DELETE FROM {section.name}",),
        ((write, tuple(range(len(section.columns)))),),
    )


def _triggers(section: Section) -> list[str]:
    """One for each way in which a row changes; a key that was changed is two."""

    def note(row: str) -> str:
        keys = [f"{row}.{column}" for column in section.keys] + ["NULL"] * (3 - section.key)
        return f"INSERT INTO changes (section, a, b, c) VALUES ('{section.name}', {', '.join(keys)});"

    when = {"INSERT": note("NEW"), "DELETE": note("OLD"), "UPDATE": note("OLD") + note("NEW")}
    return [
        f"CREATE TRIGGER watch_{section.name}_{how} AFTER {how} ON {section.name} BEGIN {notes} END"
        for how, notes in when.items()
    ]


def _drop_watch(db: sqlite3.Connection, sections: Collection[Section]) -> None:
    for each in sections:
        for how in ("INSERT", "DELETE", "UPDATE"):
            db.execute(f"DROP TRIGGER IF EXISTS watch_{each.name}_{how}")
    db.execute("DROP TABLE IF EXISTS changes")


def _leave(db: sqlite3.Connection, sections: Collection[Section], place: str) -> None:
    _drop_watch(db, sections)
    leave_behind(db, place)


def _marks(count: int) -> str:
    return ", ".join("?" * count)
