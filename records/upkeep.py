"""Upkeep: what a running server does in the background, in small ticks, between requests."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from blobstore.gc import Wanted
from blobstore.scrub import scrub
from records.store import RecordStore
from records.versions import Sweep

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds between ticks of each kind; `grace` seconds spare recent orphans; `scrub_rate` in bytes per second.

    A spine gets a checkpoint when it has moved on and its newest is `checkpoint_age` seconds old.
    A tick of collection removes about `blobs` blobs, or works for `seconds`; where more is left the next one comes
    after `backlog` seconds.
    A sweep takes one file at a time and pauses between two.
    `history` is for how many seconds a change token is good: for as long it is remembered what records were.
    """

    drain: float = 2.0
    collect: float = 300.0
    grace: float = 24 * 3600.0
    blobs: int = 5000
    seconds: float = 2.0
    backlog: float = 2.0
    scrub_every: float = 3600.0
    scrub_age: float = 30 * 24 * 3600.0
    scrub_rate: int = 16 << 20
    history: float = 90 * 24 * 3600.0
    forget_every: float = 3600.0
    checkpoint_every: float = 300.0
    checkpoint_age: float = 3600.0
    sweep_every: float = 3600.0
    sweep_pause: float = 0.02


class Upkeep:
    """Until stopped: drains outboxes, finishes erasures, collects garbage, forgets, re-hashes, signs checkpoints,
    and brings database files to the latest version."""

    def __init__(self, store: RecordStore, schedule: Schedule) -> None:
        self._store = store
        self._schedule = schedule
        self._sweep = Sweep(store.directory)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; the first tick of each kind comes at once, so what a crash left is mended first."""
        schedule = self._schedule
        for work, every in (
            (self._drain, schedule.drain),
            (self._collect, schedule.collect),
            (self._scrub, schedule.scrub_every),
            (self._forget, schedule.forget_every),
            (self._checkpoint, schedule.checkpoint_every),
            (self._migrate, schedule.sweep_every),
        ):
            self._tasks.append(asyncio.create_task(self._repeat(work, every)))

    async def stop(self) -> None:
        """End after the step under way; every step may be cut off and repeated."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def _repeat(self, work: Callable[[], Awaitable[float | None]], every: float) -> None:
        """Work says in how many seconds it wants to go on, where that is sooner."""
        while True:
            sooner = None
            try:
                sooner = await work()
            except Exception:
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
        return None if collected.finished else schedule.backlog

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
