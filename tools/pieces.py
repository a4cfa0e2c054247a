"""Reads local bytes in large pieces, off the event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import BinaryIO

PIECE = 1 << 20
"""Bytes a piece: one hop between threads for each, so that small ones would cost more than the reading."""


async def pieces(open_: Callable[[], BinaryIO]) -> AsyncGenerator[bytes, None]:
    """The bytes of what `open_` opens, which runs in a thread, as all reading does. Closed with the generator."""
    file = await asyncio.to_thread(open_)
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        file.close()
