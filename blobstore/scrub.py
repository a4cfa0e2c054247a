"""Scrubbing: stored bytes are hashed again at a bounded rate, stalest first; what does not match is quarantined.

Stopped at any point, the next run goes on where this one was: what was found good carries the time of it.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from blobstore.backend import ObjectName
from blobstore.catalogue import Stored
from blobstore.digest import Content, Hasher
from blobstore.errors import BlobNotFound, ContentMismatch, StorageUnavailable
from blobstore.store import BlobStore

PIECE = 1 << 20
"""Bytes in memory at a time."""

BATCH = 100
"""Blobs asked of the catalogue at a time, and noted as good in one step."""

FUSE = 20
"""So many blobs missing before the first good one, or unreadable in a row, mean a disk that is not there."""


class Verdict(StrEnum):
    """What one look at a stored generation found."""

    GOOD = "good"
    MISMATCH = "mismatch"
    MISSING = "missing"
    UNREADABLE = "unreadable"  # the medium answers with errors: reported, not quarantined, looked at again next time


@dataclass(frozen=True, slots=True)
class Bad:
    """A generation that is not good, and why."""

    stored: Stored
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found: how many blobs and bytes are good, and which are not."""

    blobs: int
    bytes: int
    bad: Sequence[Bad]


class Pace:
    """Holds a run back to `rate` bytes per second; time lost to a slow disk is not made up for."""

    def __init__(self, rate: float = math.inf) -> None:
        self._rate = rate
        self._due = 0.0

    async def spend(self, size: int) -> None:
        """Wait until `size` more bytes are within the rate."""
        now = time.monotonic()
        self._due = max(self._due, now) + size / self._rate
        if self._due > now:
            await asyncio.sleep(self._due - now)


async def rehash(store: BlobStore, stored: Stored, pace: Pace) -> Content:
    """What the bytes of one generation are now.

    Raises `BlobNotFound`, `ContentMismatch` where their number is wrong, `StorageUnavailable`.
    """
    async with await store.open_stored(stored) as blob:
        hasher = Hasher()
        while hasher.size < stored.size:
            piece = await blob.read(hasher.size, PIECE)
            await store.submit(hasher.update, piece)
            await pace.spend(len(piece))
    return hasher.finish()


async def verify(store: BlobStore, stored: Stored, pace: Pace) -> Verdict:
    """Hash the bytes of one generation; changes nothing."""
    try:
        content = await rehash(store, stored, pace)
    except BlobNotFound:
        return Verdict.MISSING
    except ContentMismatch:
        return Verdict.MISMATCH
    except StorageUnavailable:
        return Verdict.UNREADABLE
    matches = content == Content(stored.name.digest, stored.sha256, stored.size)
    return Verdict.GOOD if matches else Verdict.MISMATCH


async def scrub(
    store: BlobStore, *, before: float | None = None, limit: int | None = None, rate: float = math.inf
) -> Report:
    """Check live blobs last verified before `before` (UTC seconds; None: now), at most `limit` of them.

    `rate` is in bytes per second. Raises `StorageUnavailable` when it looks as if the whole medium were not there;
    nothing is quarantined then.
    """
    run = _Run(store, time.time() if before is None else before, Pace(rate))
    left = math.inf if limit is None else limit
    while left > 0 and (batch := await run.next(int(min(BATCH, left)))):
        left -= len(batch)
        await run.check(batch)
    await run.judge.settle()
    return Report(run.blobs, run.bytes, run.judge.bad)


class Judge:
    """Quarantines what is not good, and keeps a list of it; not where it looks as if the whole medium were gone."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._unreadable = 0
        self._any_good = False
        self._suspects: list[Stored] = []  # missing, while nothing good was seen
        self.bad: list[Bad] = []

    @property
    def undecided(self) -> set[ObjectName]:
        """Those that may turn out to be good yet."""
        unreadable = {each.stored.name for each in self.bad if each.verdict is Verdict.UNREADABLE}
        return unreadable | {each.name for each in self._suspects}

    async def hear(self, stored: Stored, verdict: Verdict) -> None:
        """What one look found. Raises `StorageUnavailable` when so many cannot be read that the disk seems gone."""
        self._unreadable = self._unreadable + 1 if verdict is Verdict.UNREADABLE else 0
        if verdict is Verdict.GOOD:
            self._any_good = True
            await self.settle()
        elif verdict is Verdict.MISSING and not self._any_good:
            self._suspects.append(stored)
        else:
            await self._report(stored, verdict)
        if FUSE in (len(self._suspects), self._unreadable):
            raise StorageUnavailable(f"{FUSE} blobs in a row cannot be read: is the disk there?")

    async def settle(self) -> None:
        """The medium is there after all: what is missing on it is."""
        suspects, self._suspects = self._suspects, []
        for stored in suspects:
            await self._report(stored, Verdict.MISSING)

    async def _report(self, stored: Stored, verdict: Verdict) -> None:
        # A generation that was collected meanwhile is not bad: quarantine says no, for it is not live any more.
        if verdict is Verdict.UNREADABLE or await self._store.catalogue.quarantine(stored.name):
            self.bad.append(Bad(stored, verdict))
            self._store.tally.bad[verdict] = self._store.tally.bad.get(verdict, 0) + 1


class _Run:
    def __init__(self, store: BlobStore, before: float, pace: Pace) -> None:
        self._store = store
        self._before = before
        self._pace = pace
        self.judge = Judge(store)
        self.blobs = 0
        self.bytes = 0

    async def next(self, limit: int) -> list[Stored]:
        """The stalest that this run has not seen; of those that it has, suspects and the unreadable are still stale."""
        seen = self.judge.undecided
        found = await self._store.catalogue.stalest(self._before, limit + len(seen))
        return [each for each in found if each.name not in seen][:limit]

    async def check(self, batch: Sequence[Stored]) -> None:
        good = []
        try:
            for stored in batch:
                verdict = await verify(self._store, stored, self._pace)
                if verdict is Verdict.GOOD:
                    good.append(stored)
                await self.judge.hear(stored, verdict)
        finally:
            # Never before `before`, whatever the clock does: this run must not see them again.
            await self._store.catalogue.verified([each.name for each in good], max(time.time(), self._before))
            self.blobs += len(good)
            self.bytes += sum(each.size for each in good)
            self._store.tally.verified.add(each.size for each in good)
