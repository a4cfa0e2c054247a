"""Reads local bytes in large pieces, off the event loop."""

import asyncio
from collections.abc import AsyncGenerator

from tools.sink import Opener

PIECE = 1 << 20
"""Bytes a piece: one hop between threads for each, so that small ones would cost more than the reading."""


async def pieces(content: Opener) -> AsyncGenerator[bytes, None]:
    """The bytes of what `content` opens, which is closed with the generator."""
    file = await asyncio.to_thread(content)
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        file.close()
