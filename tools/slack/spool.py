"""Downloaded bytes on their way into the store: a temporary file without a name."""

import io
import os
from typing import Any

from aiofiles.threadpool.binary import AsyncBufferedIOBase

from tools.slack.sniff import HEAD


class SpoolError(Exception):
    """The temporary file cannot be written."""


class Spool:
    """Bytes that grow at the end until they are complete, then are read, perhaps several times.

    The file is open and has no name: no other user sees it, and nothing is left behind however the process ends.
    """

    def __init__(self, file: AsyncBufferedIOBase) -> None:
        self._file = file
        self.size = 0
        self.head = b""
        """The first `sniff.HEAD` bytes, or all there are."""

    async def append(self, piece: bytes) -> None:
        """Best about 1 MiB at a time. Raises `SpoolError`."""
        try:
            await self._file.write(piece)
        except OSError as error:
            raise SpoolError(f"no room for a download ({error.strerror}); name another directory in TMPDIR") from None
        self.size += len(piece)
        if len(self.head) < HEAD:
            self.head += piece[: HEAD - len(self.head)]

    async def restart(self) -> None:
        """Forget what has come so far."""
        if not self.size:
            return
        await self._file.seek(0)
        await self._file.truncate()
        self.size, self.head = 0, b""

    async def complete(self) -> None:
        """All has come: from now on it can be read."""
        await self._file.flush()

    def content(self) -> io.BufferedReader:
        """All bytes from their start; several readings at once do not disturb each other."""
        return io.BufferedReader(_Reading(self._file.fileno()))


class _Reading(io.RawIOBase):
    """One reading of a file that others read too: it keeps its own place, and leaves the file open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = os.pread(self._descriptor, len(buffer), self._place)
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)
