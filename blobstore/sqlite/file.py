"""One SQLite file, used by many tasks and processes at once: one writer with group commit, pooled readers.

A transaction is a plain function handed to `read` or `write`: it cannot await, so it cannot hold a lock across the
network. Writers of one process queue up in a thread that commits many of them with one fsync; writers of other
processes are waited for. SQLITE_BUSY never reaches a caller.
"""

import asyncio
import queue
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

from sqlite_utils import Migrations

from blobstore.errors import Damaged, StorageUnavailable
from blobstore.locked import file_lock
from blobstore.spans import span
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import (
    Identity,
    begin,
    connect,
    identity,
    in_place,
    make_file,
    make_place,
    require_in_place,
    translate,
    translated,
    truncate,
    vacuum,
)
from blobstore.sqlite.recalled import SMALL, Recalled
from blobstore.sqlite.versions import Schema, When, prepare

T = TypeVar("T")
Transaction = Callable[[sqlite3.Connection], T]

WRITER_CACHE = 4 << 10
"""KiB of pages that the writer keeps, where a file has as many. A batch of 500 rows with keys in no order changes a
page of an index for each: with half of it they are read twice, and written to the log twice."""

MAX_GROUP = 256
"""Requests that share one commit; bounds how long the first of them waits."""


@dataclass(slots=True)
class _Job(Generic[T]):
    run: Transaction[T]
    result: Future[T]
    alone: bool = False
    """Runs outside any transaction, between two groups."""


_OPEN: "weakref.WeakSet[SqliteFile]" = weakref.WeakSet()


def open_files() -> list["SqliteFile"]:
    """Those that this process has open."""
    return [file for file in list(_OPEN) if not file.is_closed]


class SqliteFile:
    """An open database file. Make one with `open`; every method may be called from many tasks at once."""

    def __init__(
        self, path: Path, was: Identity, schema: Schema, writer: sqlite3.Connection, readers: int, *, behind: bool
    ) -> None:
        """`was`: the file that `writer` has open. `behind`: there are steps to take before anything is written."""
        self.path = path
        self._schema = schema
        self._behind = behind
        self._identity = was
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix=f"read-{path.name}")
        self._recalled = Recalled()
        self._watching = threading.Lock()
        self._asked = False
        self._told: int | None = None
        self._closed = False
        _OPEN.add(self)
        self._thread = threading.Thread(target=self._write_loop, args=(writer,), name=f"write-{path.name}", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path, migrations: Migrations, *, readers: int = 3, make: bool = True) -> Self:
        """Open the file, made and migrated if need be; any number of processes may do so at once.

        What would lock out programs of the version before waits for the first write (`blobstore.sqlite.versions`).
        Raises `Damaged`, `NewerVersion`, or another `StorageUnavailable` when it cannot be opened; where none is to be
        made, `Moved` if there is none, also where it went meanwhile, and `Damaged` if there is nothing in it: that is
        not how anybody left it.
        """
        schema = Schema(migrations)
        writer, was, taken = await asyncio.to_thread(_open_writer, path, schema, make)
        return cls(path, was, schema, writer, readers, behind=taken < schema.due(taken, When.WRITING))

    async def read(self, transaction: Transaction[T]) -> T:
        """Run the function on one snapshot. It must not write, and must fetch what it gives back."""
        if self._closed:
            raise StorageUnavailable(f"{self.path.name} is closed")
        loop = asyncio.get_running_loop()
        with span("sqlite read"):
            return await loop.run_in_executor(self._readers, self._read, transaction)

    async def recall(
        self, name: Hashable, transaction: Transaction[T], size: Callable[[T], int] = lambda _: SMALL
    ) -> T:
        """As `read`, but an answer is given again, without a thread, as long as nobody commits to the file.

        For what is asked with every request. The name says all that the answer depends on; `size` is what it takes in
        memory, in bytes. Whoever gets it must not change it.
        """
        version = self._version()
        if version is not None and (kept := self._recalled.find(name)) is not None:
            return cast(T, kept[0])
        answer = await self.read(transaction if self._recalled.watches else partial(self._watched, transaction))
        if not self._closed:
            self._recalled.keep(name, answer, size(answer), version)
        return answer

    async def write(self, transaction: Transaction[T]) -> T:
        """Run the function in a transaction of its own; when this returns, it is durable.

        What the function raises undoes it alone and is raised here. When the commit fails nothing was written.
        """
        return await self._submit(transaction, alone=False)

    async def write_alone(self, transaction: Transaction[T]) -> T:
        """As `write`, but shares its commit with nobody and needs no memory to undo single statements.

        For what touches much of the file. Other writers wait; readers do not.
        """
        return await self._submit(partial(self._alone, transaction), alone=True)

    async def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """One statement in a transaction of its own; the number of rows that it changed."""
        return await self.write(lambda db: db.execute(sql, parameters).rowcount)

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        """One statement for each of the rows, in one transaction; the number of rows that they changed."""
        return await self.write(lambda db: db.executemany(sql, rows).rowcount)

    async def vacuum(self) -> None:
        """Write all of the file anew, without what its pages have left over. For files with little in them."""
        await self._submit(vacuum, alone=True)

    async def truncate_wal(self, timeout: float) -> bool:
        """Move everything from the write-ahead log into the file and cut the log to nothing.

        False when, for `timeout` seconds, a reader's snapshot (of any process) stood in the way.
        """
        deadline = time.monotonic() + timeout
        while not await self._submit(partial(truncate, self.path), alone=True):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def check(self) -> list[str]:
        """What SQLite finds wrong with the file; empty when it is sound."""
        try:
            rows = await self.read(lambda db: db.execute("PRAGMA integrity_check").fetchall())
        except Damaged as error:  # too much so to be looked through
            return [str(error)]
        return [row[0] for row in rows if row[0] != "ok"]

    async def close(self) -> None:
        """Finish the queued writes and close. Harmless when called twice."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            await asyncio.to_thread(self._close)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own that sees one moment, for a thread of the caller's; it must not write. Blocks."""
        with self._translated(), closing(connect(self.path, self._identity)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection

    # -- readers ---------------------------------------------------------------------------------------------------

    def _read(self, transaction: Transaction[T]) -> T:
        with self._translated():
            self._require_in_place()
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = connect(self.path, self._identity)
                connection.execute("PRAGMA query_only = ON")
                self._reader_connections.append(connection)
            connection.execute("BEGIN")
            try:
                self._schema.require_known(self.path, connection)
                return transaction(connection)
            finally:
                if connection.in_transaction:  # an I/O error ends it by itself
                    connection.execute("ROLLBACK")

    def _version(self) -> int | None:
        """As `Recalled.version`; None where the file has lost its name.

        Asked once in a turn of the event loop: whoever is told of a commit, by anybody, asks in a later one.
        """
        if not self._asked:
            self._told = self._recalled.version() if self.is_in_place() else None
            self._asked = True
            asyncio.get_running_loop().call_soon(self._next_turn)
        return self._told

    def _next_turn(self) -> None:
        self._asked = False

    def _watched(self, transaction: Transaction[T], connection: sqlite3.Connection) -> T:
        with self._watching:
            if not self._recalled.watches:
                self._recalled.watch(self.path, self._identity)
        return transaction(connection)

    # -- the writer ------------------------------------------------------------------------------------------------

    async def _submit(self, run: Transaction[T], *, alone: bool) -> T:
        if self._closed:
            raise StorageUnavailable(f"{self.path.name} is closed")
        job = _Job(run, Future[T](), alone)
        self._jobs.put(job)
        with span("sqlite write"):
            return await asyncio.wrap_future(job.result)

    def _write_loop(self, connection: sqlite3.Connection) -> None:
        held: _Job[Any] | None = None
        stopping = False
        while not stopping:
            job = held or self._jobs.get()
            held = None
            if job is None:
                break
            if job.alone:
                self._run_alone(connection, job)
                continue
            group = [job]
            while len(group) < MAX_GROUP and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    stopping = True
                    break
                if following.alone:
                    held = following
                    break
                group.append(following)
            self._run_group(connection, group)
        connection.close()

    def _run_alone(self, connection: sqlite3.Connection, job: _Job[Any]) -> None:
        if not job.result.set_running_or_notify_cancel():
            return
        try:
            with self._translated():
                self._require_in_place()
                self._catch_up(connection)
                result = job.run(connection)
        except Exception as error:
            job.result.set_exception(error)
        else:
            job.result.set_result(result)

    def _run_group(self, connection: sqlite3.Connection, jobs: list[_Job[Any]]) -> None:
        """One commit for all; nobody is told before it is durable.

        Each of several jobs is in a savepoint of its own. SQLite keeps a copy of all pages that change in one, so a
        job that is alone has none: what it raises undoes the transaction.
        """
        group = [job for job in jobs if job.result.set_running_or_notify_cancel()]
        outcomes: list[tuple[_Job[Any], Any, Exception | None]] = []
        try:
            with self._translated():
                self._catch_up(connection)
                begin(connection)
                try:
                    self._schema.require_known(self.path, connection)
                    if len(group) == 1:
                        outcomes = [(group[0], group[0].run(connection), None)]
                    else:
                        outcomes = [(job, *self._in_savepoint(connection, job.run)) for job in group]
                    self._require_in_place()
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except Exception as error:
            outcomes = [(job, None, error) for job in group]
        for job, result, failure in outcomes:
            if failure is None:
                job.result.set_result(result)
            else:
                job.result.set_exception(failure)

    def _in_savepoint(self, connection: sqlite3.Connection, run: Transaction[T]) -> tuple[T | None, Exception | None]:
        connection.execute("SAVEPOINT request")
        try:
            result = run(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite gave the whole transaction up (disk full, I/O error): nobody must be told "done"
            connection.execute("ROLLBACK TO request")
            connection.execute("RELEASE request")
            return None, translate(error, self.path.name)
        connection.execute("RELEASE request")
        return result, None

    def _alone(self, transaction: Transaction[T], connection: sqlite3.Connection) -> T:
        begin(connection)
        try:
            self._schema.require_known(self.path, connection)
            result = transaction(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        """Before the first write: take the steps that writing needs."""
        if self._behind:
            with file_lock(lock_of(self.path)):
                self._schema.advance(self.path, connection, When.WRITING)
            self._behind = False

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """As `translated`; what fails because the file has lost its name raises `Moved`."""
        with in_place(self.path, self._identity), translated(self.path):
            yield

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Writers that wait for the thread, about."""
        return self._jobs.qsize()

    def is_in_place(self) -> bool:
        """Whether the file still has its name."""
        return identity(self.path) == self._identity

    def _require_in_place(self) -> None:
        """Raise `Moved` where the file has lost its name: what is committed to it would end with us."""
        require_in_place(self.path, self._identity)

    def _close(self) -> None:
        self._thread.join()
        self._readers.shutdown(wait=True)
        for connection in self._reader_connections:
            connection.close()
        self._recalled.close()


def _open_writer(path: Path, schema: Schema, make: bool) -> tuple[sqlite3.Connection, Identity, int]:
    """A connection, which file it has open, and how many steps that has taken."""
    # The switch to WAL is not retried by SQLite's busy handler, and racing migrations fail: hence the lock.
    with translated(path):
        if make:
            make_place(path)
        else:
            require_in_place(path, identity(path))  # before its lock is made
        with file_lock(lock_of(path)):
            if make:
                make_file(path)
            was = require_in_place(path, identity(path))
            with in_place(path, was):
                connection = connect(path, was)
                try:
                    connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE}")
                    if not make and not schema.found(connection)[0].taken:
                        raise Damaged(f"{path.name} is empty")
                    taken = prepare(path, connection, schema).taken
                except BaseException:
                    connection.close()
                    raise
        return connection, was, taken


def lock_of(path: Path) -> Path:
    """The lock under which a database file is made and migrated."""
    return path.with_name(path.name + ".lock")
