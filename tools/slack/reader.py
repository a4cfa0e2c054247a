"""Runs a source in a thread of its own, so that parsing never holds up what is being sent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from tools.slack.layout import open_source
from tools.slack.report import Ignored
from tools.slack.source import Source, Strays

T = TypeVar("T")


class Reader:
    """A source whose iterators run in one thread, always the same: SQLite connections belong to theirs."""

    def __init__(self, source: Source, thread: ThreadPoolExecutor) -> None:
        self.source = source
        self._thread = thread

    async def slices(self, start: Callable[[Source], Iterator[T]], size: int) -> AsyncGenerator[list[T], None]:
        """What `start` iterates over, in lists of at most `size`; close it when leaving early."""
        items = await self._run(lambda: start(self.source))
        try:
            while items_now := await self._run(lambda: list(islice(items, size))):
                yield items_now
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                await self._run(close)

    async def ask(self, what: Callable[[Source], T]) -> T:
        """What the source says."""
        return await self._run(lambda: what(self.source))

    async def ignored(self, what: Callable[[Source], Strays]) -> Ignored:
        """What the source passed over, as far as it was read."""

        def copy() -> Ignored:
            strays = what(self.source)
            return Ignored(strays.count, tuple(strays.examples))

        return await self._run(copy)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


@asynccontextmanager
async def open_reader(path: Path) -> AsyncIterator[Reader]:
    """The workspace at `path`. Raises `SourceError`."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="slack-source")
    try:
        source: Source = await asyncio.get_running_loop().run_in_executor(thread, open_source, path)
        try:
            yield Reader(source, thread)
        finally:
            await asyncio.get_running_loop().run_in_executor(thread, source.close)
    finally:
        thread.shutdown()
