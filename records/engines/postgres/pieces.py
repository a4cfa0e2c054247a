"""Rows that are fetched in pieces on the event loop, and looked at one by one on a thread."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Generic, TypeVar

from blobstore.errors import StorageUnavailable
from blobstore.postgres import Connection
from blobstore.threads import to_the_end

Each = TypeVar("Each")
T = TypeVar("T")

LONG = 12 * 3600.0
"""Seconds that going through everything may take."""


async def seen(
    threads: Executor, pieces: AsyncGenerator[Sequence[Each], None], see: Callable[[Iterator[Each]], T]
) -> T:
    """What `see`, on one of the threads, makes of what is in the pieces; what it raises is raised here.

    A piece is fetched when the one before is used up: memory holds one. When this is cancelled, `see` gets an error
    with the next piece, and its end is waited for.
    """
    async with aclosing(pieces):
        feed = _Feed(pieces)
        return await to_the_end(asyncio.get_running_loop().run_in_executor(threads, see, iter(feed)), feed.stop)


def once(work: Callable[[Connection], Awaitable[T]]) -> Callable[[Connection], Awaitable[T]]:
    """The transaction, but it is not repeated: who sees cannot forget what it has seen."""
    begun = False

    async def run(db: Connection) -> T:
        nonlocal begun
        if begun:
            raise StorageUnavailable("PostgreSQL went away while records were read")
        begun = True
        return await work(db)

    return run


class _Feed(Generic[Each]):
    def __init__(self, pieces: AsyncGenerator[Sequence[Each], None]) -> None:
        self._pieces = pieces
        self._loop = asyncio.get_running_loop()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def __iter__(self) -> Iterator[Each]:
        while (piece := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()) is not None:
            yield from piece

    async def _next(self) -> Sequence[Each] | None:
        if self._stopped:
            raise InterruptedError("nobody waits for what is read any more")
        return await anext(self._pieces, None)
