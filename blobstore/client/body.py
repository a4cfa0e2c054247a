"""The body of an upload: counted and hashed while it is sent."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

from blobstore.client.content import Opener, pieces
from blobstore.client.errors import ContentChanged

_INLINE = 64 << 10
"""Bytes; hashing fewer takes less time than handing them to a thread."""


class CountedBody:
    """One pass over some content, for one attempt to send it; an async iterator of its pieces.

    aiohttp reports whatever goes wrong in a body as a lost connection: `failure` keeps what it was. A piece is hashed
    in a thread while it is on its way to the socket. What comes before byte `start` is hashed too, and not sent.
    """

    def __init__(self, content: Opener, announced: int | None, start: int = 0) -> None:
        self.announced = announced
        self._start = start
        self.size = 0
        self.failure: Exception | None = None
        self.on_piece: Callable[[], None] = lambda: None
        self._pieces = pieces(content)
        self._hash = hashlib.sha256()
        self._hashing: asyncio.Future[None] | None = None
        self._reading = False
        self._abandoned = False

    @property
    def length(self) -> int | None:
        """How many bytes are sent, where that is known."""
        return None if self.announced is None else self.announced - self._start

    async def sha256(self) -> str:
        """The digest of all pieces so far, in hex."""
        await self._settle()  # an answer can come before the last piece is hashed
        return self._hash.hexdigest()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._reading = True
        try:
            piece = await self._next()
        except StopAsyncIteration:
            await self._settle()
            if self.announced is not None and self.size != self.announced:
                self.failure = _wrong_length(self.announced, self.size)
                raise self.failure from None
            raise
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._reading = False
            if self._abandoned:
                await self._pieces.aclose()
        return piece

    async def close(self) -> None:
        """Give the content back, also in the middle of it. Harmless when called twice."""
        # aiohttp may still be waiting for a piece when the answer has come early: who reads then closes.
        self._abandoned = True
        if not self._reading:
            await self._pieces.aclose()

    async def _next(self) -> bytes:
        """The next piece that is to be sent; most begin behind `start`."""
        while True:
            piece = await anext(self._pieces)
            before = self.size
            await self._count(piece)
            if self.size > self._start:
                return piece if before >= self._start else piece[self._start - before :]

    async def _count(self, piece: bytes) -> None:
        await self._settle()
        self.size += len(piece)
        if self.announced is not None and self.size > self.announced:
            raise _wrong_length(self.announced, self.size)
        if len(piece) <= _INLINE:
            self._hash.update(piece)
        else:
            self._hashing = asyncio.get_running_loop().run_in_executor(None, self._hash.update, piece)
        self.on_piece()

    async def _settle(self) -> None:
        if self._hashing is not None:
            # aiohttp cancels who sends once the answer is there; the digest is still wanted then.
            await asyncio.shield(self._hashing)
            self._hashing = None


def _wrong_length(announced: int, size: int) -> ContentChanged:
    return ContentChanged(f"the content changed while it was read: {announced} bytes were announced, {size} came")
