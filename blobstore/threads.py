"""Threads for calls that block, and waiting for what runs in one, whatever happens to who waits."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Threads:
    """So many at the most, made when they are needed."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run a call that blocks in one of them."""
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: call(*args, **kwargs))

    async def close(self) -> None:
        """Wait until all have ended."""
        await asyncio.to_thread(self._pool.shutdown)


async def to_the_end(work: Awaitable[T], on_cancel: Callable[[], object] | None = None) -> T:
    """The result of the work, whose end is waited for even when cancelled: the files that it uses must stay open.

    Were one closed under it, its number could become another connection's socket or another owner's file. `on_cancel`
    is called each time that the wait is cancelled: it may ask the work to end early.
    """
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
            if on_cancel is not None:
                on_cancel()
    if cancelled is not None:
        running.exception()  # whoever waited is told that it was cancelled
        raise cancelled
    return running.result()
