"""Several processes on one data directory, all of them inside this one, none of which does a step by itself.

What is real: the SQLite catalogue, engine and central store, the filesystem backend, staging, collection, erasure.
What is not: threads (see `scheduler`), the clock, and death, which takes a process away between two steps, or between
two calls of the operating system inside one.
"""

import asyncio
import fcntl
import itertools
import json
import os
import random
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from blobstore.digest import Digest
from blobstore.scrub import scrub
from blobstore.sqlite import sqlite3
from blobstore.tracing import Found, Search, look
from records.central import Owner
from records.consent.scope import Selector
from records.layout import Topology
from records.model import Order
from records.store import RecordStore
from records.writing.attachments import Target
from tests.fakes.data_directory import MANIFEST, WHEN
from tests.interleavings.scheduler import WHO, ScheduledLoop, Step, SteppedFile, SteppedShardFile

MODULES = ("blobstore.catalogues.sqlite", "records.engines.sqlite", "records.centrals.sqlite")
"""Where database files are opened."""

CALLS = ("link", "unlink", "mkdir", "rmdir", "fsync", "chmod", "writev", "rename")
"""What a process may die before, inside a step."""

START = 1_800_000_000.0
MEMORY = Path("/dev/shm")


class Died(BaseException):
    """The process ends here; nothing of it may notice."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record is, or will be."""

    connector: str
    instance: str
    stream: str
    key: str


@dataclass(eq=False)
class Process:
    """One process; `store` once it has started."""

    number: int
    store: RecordStore | None = None
    alive: bool = True
    files: list[SteppedFile] = field(default_factory=list)


@dataclass(eq=False)
class Operation:
    """Something that a process was asked for. `opened` is told of the database files that it opens."""

    process: Process
    what: str
    task: "asyncio.Task[Any]" = field(init=False, repr=False)
    result: Any = None
    error: BaseException | None = None

    def opened(self, file: SteppedFile) -> None:
        self.process.files.append(file)

    @property
    def over(self) -> bool:
        """Whether whoever asked has an answer, or never gets one."""
        return self.task.done() or not self.process.alive

    def __repr__(self) -> str:
        return f"{self.what} (process {self.process.number})"


def manifest(connector: str) -> bytes:
    return json.dumps({**MANIFEST, "connector_id": connector}).encode()


def make_template(folder: Path, connectors: tuple[str, ...]) -> Owner:
    """An empty data directory of one owner, with these connectors."""

    async def make() -> Owner:
        store = await RecordStore.open(folder)
        owner = await store.access.owner("ann")
        await store.engines.of(owner.id)
        for connector in connectors:
            await store.registry.register(owner, manifest(connector))
        await store.close()
        return owner

    return asyncio.run(make())


class World:
    """The data directory, the processes on it, and who is at what. A context manager."""

    def __init__(self, template: Path, owner: Owner, folder: Path, seed: int = 0) -> None:
        self.directory = folder / "data"
        shutil.copytree(template, self.directory)
        self.owner = owner
        self.loop = ScheduledLoop(START)  # type: ignore[abstract]  # what nobody calls is not there
        self.operations: list[Operation] = []
        self.processes: list[Process] = []
        self.taken = 0
        """Steps so far."""
        self.log: list[str] = []
        self._rng = random.Random(seed)
        self._numbers = itertools.count()
        self._patched = pytest.MonkeyPatch()
        self._locks: dict[int, Process] = {}

    def __enter__(self) -> "World":
        for module in MODULES:
            self._patched.setattr(f"{module}.SqliteFile", SteppedFile)
        self._patched.setattr("records.engines.sharded.shard.ShardFile", SteppedShardFile)
        self._patched.setattr(time, "time", lambda: self.loop.now)
        self._patched.setattr(secrets, "token_hex", lambda size=16: self._rng.randbytes(size).hex())
        self._patched.setattr(secrets, "token_bytes", self._rng.randbytes)
        # The child process of a search would be outside of this world; nobody here has locks that it could drop.
        self._patched.setattr("records.erasure.residue.search", self._search)
        flock = fcntl.flock

        def noted(descriptor: int, how: int) -> None:
            flock(descriptor, how)
            who = WHO.get()
            if how & fcntl.LOCK_EX and isinstance(who, Operation):
                self._locks[descriptor] = who.process

        self._flock = flock
        self._patched.setattr(fcntl, "flock", noted)
        return self

    async def _search(self, what: Search) -> Found:
        return await self.loop.run_in_executor(None, look, what)

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            self._end(process)
        self.loop.end()
        self._patched.undo()

    # -- processes -------------------------------------------------------------------------------------------------

    def start(self) -> Operation:
        """A new process opens the data directory and finishes what was cut off, as `serve` does."""
        process = Process(next(self._numbers))
        self.processes.append(process)

        async def run() -> None:
            process.store = await RecordStore.open(self.directory)
            await process.store.erasures.resume()

        return self.begin(process, f"start {process.number}", run())

    def started(self) -> list[Process]:
        """The processes that can be asked for something."""
        return [each for each in self.processes if each.alive and each.store is not None]

    def kill(self, process: Process) -> None:
        """`kill -9`: its memory, its tasks and its locks are gone, its files are as they are."""
        self.log.append(f"kill {process.number}")
        process.alive = False
        self.loop.forget(lambda who: isinstance(who, Operation) and who.process is process)
        self._end(process)

    def _end(self, process: Process) -> None:
        for descriptor, holder in list(self._locks.items()):
            if holder is process:
                del self._locks[descriptor]
                with suppress(OSError):
                    self._flock(descriptor, fcntl.LOCK_UN)
        for file in process.files:
            if not file._closed:
                file.abandon()

    # -- operations ------------------------------------------------------------------------------------------------

    def begin(self, process: Process, what: str, work: Any) -> Operation:
        """Ask a process for something, up to the first step of it."""
        operation = Operation(process, what)
        self.operations.append(operation)
        self.log.append(f"begin {operation}")

        async def run() -> None:
            try:
                operation.result = await work
            except BaseException as error:
                operation.error = error
                if not isinstance(error, Exception):
                    raise

        operation.task = self.loop.begin(operation, run())
        return operation

    def waiting(self) -> list[Operation]:
        """Operations (of living processes) that have a step to do, in the order in which they were begun."""
        having = {step.who for step in self.loop.steps}
        return [each for each in self.operations if each in having]

    def next(self, operation: Operation) -> Step | None:
        """The next step of an operation."""
        return next((step for step in self.loop.steps if step.who is operation), None)

    def take(self, operation: Operation) -> bool:
        """Do the next step of the operation; False when it has none."""
        step = self.next(operation)
        if step is None:
            return False
        self._log(step)
        self.loop.take(step)
        return True

    def die_inside(self, operation: Operation, calls: int) -> None:
        """Do the next step of the operation up to so many calls of the operating system, and kill its process there."""
        step = self.next(operation)
        if step is not None:
            self._log(step)
            with _dying_after(calls), suppress(Died):
                self.loop.do(step)
        self.kill(operation.process)

    def cancel(self, operation: Operation, *, begun: bool) -> None:
        """Who asked goes away; `begun`: a thread is in the midst of the next step, and does it all the same."""
        self.log.append(f"cancel {operation}")
        operation.task.cancel()
        step = self.next(operation)
        if step is not None and begun:
            self._log(step)
            self.loop.do(step)
        self.loop.settle()

    def _log(self, step: Step) -> None:
        self.taken += 1
        self.log.append(f"{self.taken} {step.who}: {step.name}")

    def run(self, operation: Operation) -> Any:
        """Do all its steps; what it answered."""
        while self.take(operation):
            pass
        assert operation.task.done(), f"{operation} waits for something that never comes"
        if operation.error is not None:
            raise operation.error
        return operation.result

    def until(self, operation: Operation, name: str) -> Operation:
        """Do its steps up to the one whose name has this in it, which is not done."""
        while (step := self.next(operation)) is not None and name not in step.name:
            self.take(operation)
        assert step is not None, f"{operation} has no step {name}"
        return operation

    def past(self, operation: Operation, name: str) -> Operation:
        """As `until`, and does that step."""
        self.take(self.until(operation, name))
        return operation

    # -- what can be asked for -------------------------------------------------------------------------------------

    def upload(self, process: Process, place: Place, data: bytes) -> Operation:
        async def work(store: RecordStore) -> Any:
            receiving = await store.attachments.receive(
                self.owner, Target(Selector(place.connector, place.instance), place.stream, place.key, "text/plain")
            )
            async with receiving as incoming:
                await incoming.write(data)
                return await incoming.finish()

        return self._ask(process, f"upload {data!r} for {place}", work)

    def ingest(self, process: Process, place: Place, line: dict[str, Any]) -> Operation:
        async def work(store: RecordStore) -> Any:
            selector = Selector(place.connector, place.instance)
            ingest = await store.ingests.begin(self.owner, place.stream, selector)
            await ingest.apply([json.dumps(line).encode()])
            return ingest

        return self._ask(process, f"ingest {line} at {place}", work)

    def put(self, process: Process, place: Place, number: int, digests: list[Digest]) -> Operation:
        """A record whose data are a number and references to these blobs."""
        refs = [{"blob_ref": {"blob_id": str(digest), "mime_type": "text/plain"}} for digest in digests]
        data = {"id": place.key, "n": number, "attachments": refs}
        return self.ingest(process, place, {"key": place.key, "emitted_at": WHEN, "data": data})

    def delete(self, process: Process, place: Place) -> Operation:
        return self.ingest(process, place, {"key": place.key, "emitted_at": WHEN, "op": "delete"})

    def register(self, process: Process, connector: str) -> Operation:
        return self._ask(
            process,
            f"register {connector}",
            lambda store: store.registry.register(self.owner, manifest(connector)),
        )

    def erase(
        self,
        process: Process,
        connector: str,
        instance: str | None = None,
        stream: str | None = None,
        key: str | None = None,
    ) -> Operation:
        async def work(store: RecordStore) -> Any:
            erasures = store.erasures
            if stream is not None:
                covered = await erasures.coverage.of_records(self.owner, Selector(connector, instance), stream, key)
            elif instance is not None:
                covered = await erasures.coverage.of_instance(self.owner, instance)
            else:
                covered = await erasures.coverage.of_connector(self.owner, connector)
            return await erasures.erase(self.owner, covered, wait=0)

        named = [each for each in (connector, instance, stream, key) if each is not None]
        return self._ask(process, f"erase {'/'.join(named)}", work)

    def collect(self, process: Process, grace: float = 0.0) -> Operation:
        return self._ask(process, f"collect {grace}", lambda store: store.collect(grace))

    def scrub(self, process: Process) -> Operation:
        return self._ask(process, "scrub", lambda store: scrub(store.blobs, before=self.loop.now + 1))

    def move(self, process: Process, to: Topology) -> Operation:
        """All records of the owner to another topology of files."""

        async def work(store: RecordStore) -> Any:
            assert store.moves is not None
            return [each.connector async for each in store.moves.move(self.owner, to, lambda *_: None)]

        return self._ask(process, f"move to {to}", work)

    def keys(self, process: Process, place: Place) -> Operation:
        """Those that the process finds in the place's partition."""

        async def work(store: RecordStore) -> Any:
            engine = await store.engines.of(self.owner.id)
            partitions = [each for each in await engine.stats() if each.connector == place.connector]
            return [each.key for each in (await engine.page(partitions, Order.ASC, None, 100)).records]

        return self._ask(process, f"read {place}", work)

    def drain(self, process: Process) -> Operation:
        return self._ask(process, "drain", lambda store: store.audit.drain_all())

    def close(self, process: Process) -> Operation:
        return self._ask(process, "close", lambda store: store.close())

    def _ask(self, process: Process, what: str, work: Callable[[RecordStore], Awaitable[Any]]) -> Operation:
        assert process.store is not None
        return self.begin(process, what, work(process.store))

    # -- what is there ---------------------------------------------------------------------------------------------

    def file_of(self, digest: Digest, generation: str) -> Path:
        """Where the bytes of a generation are."""
        folder = self.directory / "blobs" / self.owner.id / digest.hex[:2] / digest.hex[2:4]
        return folder / f"{digest.hex}.{generation}"

    def databases(self) -> Iterator[Path]:
        """The files of the central store, the catalogue and the owner's records."""
        yield self.directory / "central.db"
        yield self.directory / "catalogue.db"
        yield self.directory / "records" / f"{self.owner.id}.db"


@contextmanager
def _dying_after(calls: int) -> Iterator[None]:
    left = calls
    with pytest.MonkeyPatch.context() as patched:
        for name in CALLS:
            call = getattr(os, name)

            def deadly(*args: Any, _call: Any = call, **named: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Died
                left -= 1
                return _call(*args, **named)

            patched.setattr(os, name, deadly)
        yield


def connected(path: Path) -> sqlite3.Connection:
    """A connection that only looks."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA query_only = ON")
    return db
