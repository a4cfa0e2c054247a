"""Patience with a store that is away for a while: an answer that was begun waits for it instead of breaking off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from blobstore.errors import Damaged, Missing, NewerVersion, StorageUnavailable, WrongStore

T = TypeVar("T")

PAUSE = 0.25
"""Seconds between two tries."""

_FOR_GOOD = (Damaged, Missing, NewerVersion, WrongStore)


async def patiently(ask: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Ask until there is an answer, for so long. Raises what the last try raised."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            return await ask()
        except StorageUnavailable as error:
            if isinstance(error, _FOR_GOOD) or loop.time() >= deadline:
                raise
        await asyncio.sleep(PAUSE)
