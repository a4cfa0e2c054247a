"""Looks every few seconds at what this process counts and has open, and at once when somebody reads its metrics."""

import asyncio
import os
import resource
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from blobstore.sqlite.file import open_files
from blobstore.tally import Count
from records.store import RecordStore
from records.upkeep import Upkeep
from server.metrics import meters
from server.slots import Slots

EVERY = 5.0
"""Seconds: what another worker says of this one is no older."""

TICK = 0.5
"""Seconds between two looks at how late the event loop is."""

_STATM = Path("/proc/self/statm")
_FILES = Path("/proc/self/fd")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Sampling:
    """Of one process that serves."""

    def __init__(self, store: RecordStore, upkeep: Upkeep, slots: tuple[Slots, ...]) -> None:
        self._store = store
        self._upkeep = upkeep
        self._slots = slots
        self._seen: dict[Any, float] = {}
        self._late = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        meters.PROCESSES.set(1)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look a last time."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.look()

    def look(self) -> None:
        """Bring the meters up to date. Takes a fraction of a millisecond, however much there is."""
        self._look_at_store()
        self._look_at_work()
        self._look_at_databases()
        self._look_at_process()
        for slots in self._slots:
            meters.MOST.labels(slots.what).set(slots.most)
            meters.BUSY.labels(slots.what).set(slots.taken_now)
            self._count(meters.REFUSED.labels(slots.what), slots.refused)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            before = loop.time()
            await asyncio.sleep(TICK)
            self._late = max(self._late, loop.time() - before - TICK)
            if loop.time() - looked >= EVERY:
                meters.LAG.set(self._late)
                self._late, looked = 0.0, loop.time()
                self.look()

    def _look_at_store(self) -> None:
        tally = self._store.blobs.tally
        for outcome, count in (("stored", tally.stored), ("duplicate", tally.duplicate)):
            self._count_both(meters.UPLOADED.labels(outcome), meters.UPLOADED_BYTES.labels(outcome), count)
        for reason, count in tally.removed.items():
            self._count_both(meters.REMOVED.labels(reason), meters.REMOVED_BYTES.labels(reason), count)
        self._count_both(meters.VERIFIED, meters.VERIFIED_BYTES, tally.verified)
        for verdict, number in tally.bad.items():
            self._count(meters.DAMAGED.labels(verdict), number)

    def _look_at_work(self) -> None:
        for work, outcomes in self._upkeep.outcomes.items():
            if outcomes.done_at is not None:
                meters.WORK_DONE_AT.labels(work).set(outcomes.done_at)
            self._count(meters.WORK_FAILED.labels(work), outcomes.failed)
        meters.STOPPED.set(self._store.collections.stopped is not None)
        meters.UNFINISHED.set(self._store.collections.unfinished)

    def _look_at_databases(self) -> None:
        files, waiting = Counter[str](), Counter[str]()
        for file in open_files():
            name = file.path.stem if file.path.stem in ("central", "catalogue") else "records"
            files[name] += 1
            waiting[name] += file.waiting
        for name in ("central", "catalogue", "records"):
            meters.DATABASES.labels(name).set(files[name])
            meters.WAITING.labels(name).set(waiting[name])
        if self._store.database is not None:
            busy, idle = self._store.database.connections()
            meters.CONNECTIONS.labels("busy").set(busy)
            meters.CONNECTIONS.labels("idle").set(idle)

    def _look_at_process(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._count(meters.CPU, used.ru_utime + used.ru_stime)
        meters.FILES_MOST.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        with suppress(OSError):  # a system without /proc
            meters.MEMORY.set(int(_STATM.read_text().split()[1]) * _PAGE)
            meters.FILES.set(sum(1 for _ in _FILES.iterdir()))

    def _count_both(self, blobs: Any, size: Any, count: Count) -> None:
        self._count(blobs, count.blobs)
        self._count(size, count.bytes)

    def _count(self, counter: Any, number: float) -> None:
        """It stands at this number in this process by now."""
        more = number - self._seen.get(counter, 0.0)
        self._seen[counter] = number
        if more > 0:
            counter.inc(more)
