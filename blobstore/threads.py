"""Waiting for what runs in a thread, whatever happens to who waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


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
