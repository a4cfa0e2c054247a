"""The port to locks: who is at what, among all processes, on all machines, that have one store open.

A lock has a name and ends with its holder, however that ends: at once where only this machine's processes are asked,
half a minute later for those of other machines. A holder that was cut off from the others, and may be
taken for dead, has lost it: it hears so before anybody else can have the lock, and stops.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from blobstore.errors import StorageUnavailable

ERASURE, COPY, PAUSE, LEAD, HOST, LEDGER = "era_", "copy_", "pause_", "lead_", "host_", "ledger_"
"""How names begin: of who carries out an erasure, keeps a copy of records, or pauses a connector; of the one who does a
kind of background work; of a machine that serves; and of who writes to a ledger."""

PREFIXES = (ERASURE, COPY, PAUSE, LEAD, HOST, LEDGER)

NOT_RENEWED = "the database did not answer, or this process stood still, for too long"
TAKEN_OVER = (
    "this process stood still for too long, or a machine that is a copy of this one, disk and all, took it over"
)
"""How a lock is lost."""


class Held:
    """A lock that one has."""

    def __init__(self, name: str, let_go: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.lost = False
        """Whether somebody else may have it by now."""
        self.why = NOT_RENEWED
        self._let_go: Callable[[], Awaitable[None]] | None = let_go
        self._blocks: set[asyncio.Timeout] = set()

    def lose(self, why: str = NOT_RENEWED) -> None:
        """It is not held any more: blocks that rest on it end at their next step."""
        if self._let_go is not None:
            self.lost, self.why = True, why
            for block in self._blocks:
                block.reschedule(0.0)

    async def release(self) -> None:
        """Give it up. Harmless when repeated; where the database does not answer it ends by itself."""
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            await let_go()

    @contextmanager
    def ending(self, block: asyncio.Timeout) -> Iterator[None]:
        """Let the block expire when the lock is lost."""
        self._blocks.add(block)
        try:
            if self.lost:
                block.reschedule(0.0)
            yield
        finally:
            self._blocks.discard(block)


class Locks(Protocol):
    """Locks of one store. Raises `StorageUnavailable` when the disk or the database does not answer.

    Names have the letters of file names. A `detail` is kept beside the name for those who ask; it must tell nothing
    that an erasure has to take.
    """

    @property
    def shared(self) -> bool:
        """Whether other machines may have the store open."""
        ...

    async def take(self, name: str, detail: bytes = b"") -> Held | None:
        """Take the lock; None where somebody has it. Nobody waits."""
        ...

    async def is_held(self, name: str, age: float = 0.0) -> bool:
        """Whether anybody has it. Of other machines the answer may be `age` seconds old."""
        ...

    async def held(self, *prefixes: str) -> Mapping[str, bytes]:
        """Locks with one of these prefixes that anybody has, each with its detail: empty from who has just taken it.

        What processes of this machine left of such locks when they died is removed.
        """
        ...

    async def close(self) -> None:
        """Hold nothing any more. Harmless when repeated."""
        ...


@asynccontextmanager
async def taken(locks: Locks, name: str, detail: bytes = b"") -> AsyncIterator[Held | None]:
    """Hold the lock for the length of the block; None where somebody else has it.

    When it is lost the block is cancelled at its next step, and `StorageUnavailable` raised.
    """
    held = await locks.take(name, detail)
    if held is None:
        yield None
        return
    try:
        async with asyncio.timeout(None) as block:
            with held.ending(block):
                yield held
    except TimeoutError:
        if not block.expired():
            raise
        raise StorageUnavailable(f"the lock {name} was lost: {held.why}") from None
    finally:
        await held.release()


@asynccontextmanager
async def waited_for(locks: Locks, name: str, within: float = 60.0) -> AsyncIterator[None]:
    """Hold the lock for the length of the block, waiting for others at most `within` seconds.

    Raises `StorageUnavailable` where they take longer, or as `taken`. What is done under it should take moments.
    """
    deadline = time.monotonic() + within
    while True:
        async with taken(locks, name) as held:
            if held is not None:
                yield
                return
        if time.monotonic() >= deadline:
            raise StorageUnavailable(f"the lock {name} is held by another for too long; try again later")
        await asyncio.sleep(0.02)
