"""What is to be sent: bytes, or what opens them anew for each attempt."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from io import BufferedReader
from pathlib import Path

Opener = Callable[[], BufferedReader]
"""Opens the same bytes anew, from their start, each time it is called; who reads them closes them.

It is called in a thread, as is all reading. Whatever it raises ends the call that reads it, untouched and without a
retry.
"""

Content = bytes | Opener
"""What is to be stored: the bytes themselves where they are few (1 MiB at most), else what opens them."""

PIECE = 1 << 20
"""Bytes a piece: one hop between threads for each, so that small ones would cost more than the reading."""


def of_file(path: Path) -> Opener:
    """The content of a file."""
    return lambda: path.open("rb")


async def pieces(content: Opener) -> AsyncGenerator[bytes, None]:
    """The bytes of what `content` opens, which is closed with the generator."""
    file = await asyncio.to_thread(content)
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        file.close()
