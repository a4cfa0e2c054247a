"""Upkeep: of all processes that have a store open one does each kind of work, and another when that one is gone."""

import asyncio
import math
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from records.central import Owner
from records.locking.shared import SharedLocks
from records.locks import LEAD, taken
from records.store import RecordStore
from records.upkeep import Schedule, Upkeep


@dataclass
class Worker(Upkeep):
    """Counts its ticks of one kind of work."""

    store: RecordStore
    schedule: Schedule = field(default_factory=lambda: Schedule(look=0.01, forget_every=0.01))
    ticks: int = 0
    going_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__(self.store, self.schedule)
        self.going_on.set()

    async def _forget(self) -> None:
        self.ticks += 1
        await self.going_on.wait()


@pytest.fixture
async def other(store: RecordStore) -> AsyncIterator[RecordStore]:
    """Another process on the same directory."""
    other = await RecordStore.open(store.directory)
    yield other
    await other.close()


async def ticked(worker: Worker) -> None:
    ticks = worker.ticks
    async with asyncio.timeout(20):
        while worker.ticks == ticks:
            await asyncio.sleep(0.005)


async def test_one_process_does_the_work_and_another_when_that_one_stops(
    store: RecordStore, other: RecordStore
) -> None:
    first, second = Worker(store), Worker(other)
    first.start()
    await ticked(first)
    second.start()
    await ticked(first)
    await ticked(first)
    assert second.ticks == 0
    await first.stop()
    await ticked(second)
    await second.stop()


async def test_work_that_never_comes_does_not_come_at_the_start(store: RecordStore) -> None:
    worker = Worker(store, Schedule(look=0.01, forget_every=math.inf, collect=0.01))
    worker.start()
    async with asyncio.timeout(20):
        while f"{LEAD}collect" not in await store.locks.held(LEAD):
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert f"{LEAD}forget" not in await store.locks.held(LEAD)
    assert worker.ticks == 0
    await worker.stop()


async def test_nobody_else_begins_while_the_work_is_under_way(store: RecordStore, other: RecordStore) -> None:
    first, second = Worker(store), Worker(other)
    first.going_on.clear()
    first.start()
    await ticked(first)
    second.start()
    await asyncio.sleep(0.1)
    assert (first.ticks, second.ticks) == (1, 0)
    await first.stop()
    await second.stop()


async def test_who_lost_the_lock_stops_and_looks_for_it_again(store: RecordStore, other: RecordStore) -> None:
    worker = Worker(store)
    worker.going_on.clear()
    worker.start()
    await ticked(worker)
    assert isinstance(store.locks, SharedLocks)
    for mine in list(store.locks._mine.values()):
        mine.held.lose()
    async with asyncio.timeout(20):
        held = None
        while held is None:
            await asyncio.sleep(0.001)
            async with taken(other.locks, f"{LEAD}forget") as held:
                if held is not None:
                    ticks = worker.ticks
                    await asyncio.sleep(0.05)
                    assert worker.ticks == ticks
    worker.going_on.set()
    await ticked(worker)
    await worker.stop()


# -- a worker that is killed -------------------------------------------------------------------------------------------

UPLOADER = """
import asyncio, sys
from pathlib import Path
from blobstore.store import Slot
from records.store import RecordStore

async def main():
    store = await RecordStore.open(Path(sys.argv[1]))
    upload = await store.blobs.receive(sys.argv[2], Slot("files", "one", "slot", "text/plain"))
    await upload.write(b"x" * (1 << 20))
    await upload._was_used()
    print("writing", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_what_a_worker_leaves_that_is_killed_in_an_upload_goes_with_the_next_look_of_another(
    store: RecordStore, ann: Owner
) -> None:
    command = [sys.executable, "-c", UPLOADER, str(store.directory), ann.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"writing\n"
        assert await store.collector.tidy() == 0
        assert len(await store.blobs.catalogue.leases()) == 1
        process.kill()
    upkeep = Upkeep(store, Schedule(collect=3600, look=0.01, tidy=0.01))
    upkeep.start()
    async with asyncio.timeout(30):
        while await store.blobs.catalogue.leases() or len(list((store.directory / "staging").iterdir())) > 1:
            await asyncio.sleep(0.01)
    await upkeep.stop()
    assert list(store.blobs.staging.files()) == []
