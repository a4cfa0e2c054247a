"""Upkeep: what a running server does in the background, in small ticks, between requests.

Of all servers that have the store open, on any machine, one does each kind of work, as long as it lives; the others
look whether it still does. Two kinds are everybody's: outboxes, from which each event is taken once however many drain
them, and the files of a directory, which one process of its machine at a time migrates.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass

from blobstore.errors import BlobError
from blobstore.gc import Wanted
from blobstore.scrub import scrub
from records.locks import HOST, LEAD, taken
from records.store import RecordStore
from records.versions import Sweep

log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[object, object, float | None]]
"""One tick. Says in how many seconds it wants to go on, where that is sooner than usual."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds between ticks of each kind; `grace` seconds spare recent orphans; `scrub_rate` in bytes per second.

    Work that one process does for all comes never, also not at the start, where these seconds are `math.inf`.

    A spine gets a checkpoint when it has moved on and its newest is `checkpoint_age` seconds old.
    A tick of collection removes about `blobs` blobs, or works for `seconds`; where more is left the next one comes
    after `backlog` seconds, and after `resume` where an erasure is not finished.
    A sweep takes one file at a time and pauses between two.
    Each machine looks every `tidy` seconds for staging files of uploads that were cut off, or erased.
    `look`: how often who does not do a kind of work looks whether anybody does.
    `history` is for how many seconds a change token is good: for as long it is remembered what records were.
    """

    drain: float = 2.0
    collect: float = 300.0
    grace: float = 24 * 3600.0
    blobs: int = 5000
    seconds: float = 2.0
    backlog: float = 2.0
    resume: float = 30.0
    scrub_every: float = 3600.0
    scrub_age: float = 30 * 24 * 3600.0
    scrub_rate: int = 16 << 20
    history: float = 90 * 24 * 3600.0
    forget_every: float = 3600.0
    checkpoint_every: float = 300.0
    checkpoint_age: float = 3600.0
    sweep_every: float = 3600.0
    sweep_pause: float = 0.02
    look: float = 5.0
    tidy: float = 5.0


@dataclass(slots=True)
class Outcomes:
    """How a kind of work went in this process: when it last came to its end (UTC seconds), how many ticks failed."""

    done_at: float | None = None
    failed: int = 0


class Upkeep:
    """Until stopped: drains outboxes, finishes erasures, collects garbage, forgets, re-hashes, signs checkpoints,
    and brings database files to the latest version."""

    def __init__(self, store: RecordStore, schedule: Schedule) -> None:
        self._store = store
        self._schedule = schedule
        self._sweep = Sweep(store.directory)
        self._tasks: list[asyncio.Task[None]] = []
        self.outcomes: dict[str, Outcomes] = {}
        """By kind of work: drain, migrate, collect, scrub, forget, checkpoint, tidy; those that this process does."""

    def start(self) -> None:
        """Begin; the first tick of each kind comes at once, so what a crash left is mended first."""
        schedule = self._schedule
        for work, every in ((self._drain, schedule.drain), (self._migrate, schedule.sweep_every)):
            self._tasks.append(asyncio.create_task(self._repeat(work, every)))
        for kind, work, every in (
            ("collect", self._collect, schedule.collect),
            ("scrub", self._scrub, schedule.scrub_every),
            ("forget", self._forget, schedule.forget_every),
            ("checkpoint", self._checkpoint, schedule.checkpoint_every),
        ):
            if every < math.inf:
                self._tasks.append(asyncio.create_task(self._lead(LEAD + kind, work, every)))
        # One on each machine; so others see which serve, too.
        here = HOST + self._store.blobs.staging.host
        self._tasks.append(asyncio.create_task(self._lead(here, self._tidy, schedule.tidy)))

    async def stop(self) -> None:
        """End after the step under way; every step may be cut off and repeated."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def _lead(self, name: str, work: Work, every: float) -> None:
        """Do the work for as long as we have its lock, else look again for it."""
        while True:
            try:
                async with taken(self._store.locks, name) as held:
                    if held is not None:
                        await self._repeat(work, every)
            except BlobError:
                log.warning("%s was given up, or not looked for", name, exc_info=True)
            await asyncio.sleep(self._schedule.look)

    async def _repeat(self, work: Work, every: float) -> None:
        """Work says in how many seconds it wants to go on, where that is sooner."""
        outcomes = self.outcomes.setdefault(work.__name__.removeprefix("_"), Outcomes())
        while True:
            sooner = None
            try:
                sooner = await work()
                outcomes.done_at = time.time()
            except Exception:
                outcomes.failed += 1
                # Mostly storage that does not answer: requests say so to whoever asks. Whatever it is, upkeep tries
                # again later: a server that never collects any more would be worse.
                log.exception("upkeep failed")
            await asyncio.sleep(every if sooner is None else min(every, sooner))

    async def _drain(self) -> None:
        await self._store.audit.drain_all()

    async def _collect(self) -> float | None:
        schedule = self._schedule
        wanted = Wanted(schedule.grace, blobs=schedule.blobs, seconds=schedule.seconds)
        collected = await self._store.collections.tick(wanted)
        if not collected.finished:
            return schedule.backlog
        return schedule.resume if self._store.collections.unfinished else None

    async def _tidy(self) -> None:
        if files := await self._store.collector.tidy():
            log.info("removed %d staging files of uploads that are over", files)

    async def _forget(self) -> None:
        await self._store.forget(time.time() - self._schedule.history)

    async def _checkpoint(self) -> None:
        await self._store.checkpoints.tick(self._schedule.checkpoint_age)

    async def _migrate(self) -> float | None:
        return self._schedule.sweep_pause if await asyncio.to_thread(self._sweep.step) else None

    async def _scrub(self) -> None:
        before = time.time() - self._schedule.scrub_age
        report = await scrub(self._store.blobs, before=before, rate=self._schedule.scrub_rate)
        for bad in report.bad:
            log.error("stored bytes are %s: %s", bad.verdict, bad.stored.name.digest)
