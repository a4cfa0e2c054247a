"""One blob open for reading."""

import asyncio
from types import TracebackType
from typing import Self

from blobstore.backend import Backend, ObjectName, Reader
from blobstore.catalogue import Stored
from blobstore.errors import ContentMismatch
from blobstore.threads import Threads

SMALL = 64 << 10
"""Bytes of a file that are read when it is opened."""


class OpenBlob:
    """A blob open for reading. An asynchronous context manager."""

    def __init__(self, threads: Threads, stored: Stored, reader: Reader, whole: bytes | None = None) -> None:
        self._threads = threads
        self._reader = reader
        self.stored = stored
        self.whole = whole
        """All of its bytes, where they are in memory."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.stored.size

    def fileno(self) -> int | None:
        """A descriptor fit for sendfile at any offset, or None."""
        return self._reader.fileno()

    def path(self) -> str | None:
        """Where the bytes are a file below the folder of all blobs, or None; see `Reader.path`."""
        return self._reader.path()

    async def link(self, seconds: int, media_type: str, disposition: str) -> str | None:
        """An address at which whoever has it gets the bytes for so long, or None; see `Reader.link`."""
        return await self._threads.run(self._reader.link, seconds, media_type, disposition)

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; fewer only at the end of the blob. Keep `length` at a few MiB."""
        if self.whole is not None:
            return self.whole[offset : offset + length]
        data = await self._threads.run(self._reader.read, offset, length)
        if len(data) < min(length, self.size - offset):
            raise ContentMismatch("the stored bytes end too early")
        return data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._reader.close()


async def opened(threads: Threads, backend: Backend, stored: Stored) -> OpenBlob:
    """This generation, whatever its state. Raises as `BlobStore.open_stored`."""
    opening = threads.run(_open, backend, stored.name)
    try:
        reader, whole = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unused)
        raise
    if reader.size != stored.size:
        reader.close()
        raise ContentMismatch("the stored bytes have another length")
    return OpenBlob(threads, stored, reader, whole)


def _open(backend: Backend, name: ObjectName) -> tuple[Reader, bytes | None]:
    """The object, and its bytes where it is a small file: no other thread has to be asked for them then."""
    reader = backend.open(name)
    if reader.fileno() is None or reader.size > SMALL:
        return reader, None
    try:
        return reader, reader.read(0, reader.size)
    except BaseException:
        reader.close()
        raise


def _close_unused(opening: asyncio.Future[tuple[Reader, bytes | None]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()
