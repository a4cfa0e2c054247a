"""Bytes on their way out, over any connection.

By sendfile where the connection is plain and the bytes are in a file, else in pieces with one read ahead. What was
begun and cannot be finished kills the connection: a short body never ends cleanly.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from enum import StrEnum
from typing import Protocol

from aiohttp.web import Request, Response, StreamResponse

from server import logs
from server.keys import CONFIG, REQUEST_ID
from server.patience import patiently
from server.ranges import ByteRange
from server.representation import Answer
from server.sendfile import FilePipe, Run, cut

SLICE = 8 << 20
"""Bytes after which, at the latest, it is asked again whether the caller may still have them."""

CHECK_SECONDS = 2.0
"""Seconds after which it is asked as well, between two steps of a slow reader."""

PIECE = 1 << 20
"""Bytes read at once where there is no sendfile."""

STEP = 64 << 10
"""Bytes of a piece given to the connection at once: it holds no more for a slow reader."""


class Readable(Protocol):
    """What is sent: a blob, or an archive that is made as it is read."""

    @property
    def whole(self) -> bytes | None:
        """All of it, where it is in memory."""
        ...

    def fileno(self) -> int | None:
        """A descriptor fit for sendfile at any offset, or None."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        ...


class End(StrEnum):
    """How a delivery ended."""

    WHOLE = "whole"
    GONE = "gone"  # the client left, or took nothing for too long
    REVOKED = "revoked"  # the caller may no longer have them
    FAILED = "failed"  # the bytes could not be read, or the server stopped
    DELEGATED = "delegated"  # somebody else sends them: how many went, and whether any, is not known here


class Sending(Protocol):
    """An answer with bytes on its way, whoever sends them."""

    end: End

    asked: tuple[ByteRange, ...]
    """The ranges of the blob that are about to be shown."""

    @property
    def sent(self) -> tuple[ByteRange, ...]:
        """The ranges of the blob that the caller may have by now."""
        ...

    async def send(self, request: Request) -> StreamResponse:
        """Send the answer."""
        ...


class Delivery:
    """One answer being sent. At any moment, also after a failure, `sent` tells which bytes have left."""

    def __init__(
        self,
        blob: Readable,
        answer: Answer,
        still_allowed: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._blob = blob
        self._answer = answer
        self.asked = answer.ranges
        self._still_allowed = still_allowed
        self._unchecked = 0
        self._checked_at = 0.0
        self._patience = 0.0
        self._sent: list[ByteRange] = []
        self.end = End.FAILED

    @property
    def sent(self) -> tuple[ByteRange, ...]:
        """The ranges of the blob that the kernel has taken, in the order in which they went; framing not counted."""
        return tuple(self._sent)

    async def send(self, request: Request) -> StreamResponse:
        """Send the answer. Does not raise once the headers are out: `end` tells how it went. Cancelling it is safe."""
        response = self._response()
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has left already")
        await response.prepare(request)
        self._patience = request.app[CONFIG].patience
        self._checked_at = asyncio.get_running_loop().time()
        try:
            if not isinstance(response, Response):
                await self._send_body(request, transport, response)
            await response.write_eof()
            if isinstance(response, Response):
                for span in self.asked:
                    self._left(span.start, len(span))
        except BaseException as error:
            cut(transport)
            response.force_close()
            self.end = _end(error)
            if not isinstance(error, Exception):
                raise
            if self.end is End.FAILED:
                logs.failure(error, request[REQUEST_ID], "bytes could not be sent to their end")
        else:
            self.end = End.WHOLE
        return response

    def _response(self) -> StreamResponse:
        """The answer; what is in memory goes with its headers."""
        status, headers, whole = self._answer.status, self._answer.headers, self._blob.whole
        if whole is None or not self.asked:
            return StreamResponse(status=status, headers=headers)
        parts = (part if isinstance(part, bytes) else whole[part.start : part.stop] for part in self._answer.body)
        return Response(status=status, headers=headers, body=b"".join(parts))

    async def _send_body(self, request: Request, transport: asyncio.Transport, response: StreamResponse) -> None:
        file = self._blob.fileno() if transport.get_extra_info("sslcontext") is None else None
        if file is None:
            for part in self._answer.body:
                await self._copy(part, response)
            return
        with FilePipe(transport, file, request.app[CONFIG].patience) as pipe:
            for part in self._answer.body:
                if isinstance(part, bytes):
                    await response.write(part)
                else:
                    await self._flushed(request, transport)
                    await self._pipe(part, request, pipe)

    async def _pipe(self, span: ByteRange, request: Request, pipe: FilePipe) -> None:
        offset = span.start
        while offset < span.stop:
            await self._check()
            run = Run(offset, span.stop - offset, SLICE - self._unchecked)
            checked = -self._unchecked

            async def ask(run: Run = run) -> None:
                nonlocal checked
                sent = run.sent
                await self._ask()
                checked = sent
                run.allow(sent + SLICE)

            try:
                await pipe.push(run, ask)
            finally:
                self._left(offset, run.sent)
                self._unchecked = run.sent - checked
                request.writer.output_size += run.sent  # for the access log: the writer has not seen them
            offset += run.sent

    async def _copy(self, part: bytes | ByteRange, response: StreamResponse) -> None:
        if isinstance(part, bytes):
            await response.write(part)
            return
        offset = part.start
        async with aclosing(_read_ahead(self._blob, part)) as pieces:
            async for piece in pieces:
                view = memoryview(piece)
                for start in range(0, len(view), STEP):
                    await self._check()
                    step = view[start : start + STEP]
                    await response.write(step)
                    self._left(offset, len(step))
                    offset += len(step)

    async def _flushed(self, request: Request, transport: asyncio.Transport) -> None:
        """Wait until the transport holds nothing: what goes past it must not overtake it."""
        if transport.get_write_buffer_size() == 0:
            return
        transport.set_write_buffer_limits(high=0)
        try:
            await request.writer.drain()
        finally:
            transport.set_write_buffer_limits()

    async def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._unchecked >= SLICE or now - self._checked_at >= CHECK_SECONDS:
            await self._ask()

    async def _ask(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._still_allowed is not None and not await patiently(self._still_allowed, self._patience):
            raise _Revoked
        self._unchecked, self._checked_at = 0, now

    def _left(self, offset: int, count: int) -> None:
        if count == 0:
            return
        self._unchecked += count
        start = self._sent.pop().start if self._sent and self._sent[-1].stop == offset else offset
        self._sent.append(ByteRange(start, offset + count))


class _Revoked(Exception):
    """The caller may no longer have the bytes."""


def _end(error: BaseException) -> End:
    match error:
        case ConnectionError():
            return End.GONE
        case _Revoked():
            return End.REVOKED
    return End.FAILED


async def _read_ahead(blob: Readable, span: ByteRange) -> AsyncGenerator[bytes, None]:
    """The range in pieces; while one is used the next is read."""

    def read(start: int) -> asyncio.Task[bytes]:
        return asyncio.ensure_future(blob.read(start, min(PIECE, span.stop - start)))

    offset = span.start
    ahead = read(offset)
    try:
        while offset < span.stop:
            piece = await ahead
            offset += len(piece)
            ahead = read(offset)
            yield piece
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
