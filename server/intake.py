"""Large bodies on their way in: past the parser, from the connection straight into the memory where they are hashed.

The parser makes new objects of all that passes through it and copies it twice; for a GB that takes as long as to hash
it. It does not learn how the body ended, so the connection takes no further request: it ends with the answer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.web import Request

from server.body import WINDOW_BYTES, proceed
from server.connection import Connection
from server.errors import TooSlow
from server.keys import CONFIG
from server.metrics.meters import PAST_PARSER

LARGE = 8 << 20
"""Bytes of a body for which that is worth a connection."""


class Intake(asyncio.BufferedProtocol):
    """The rest of a body. While it is read the connection's protocol is this one, which passes on all but bytes."""

    def __init__(self, connection: Connection, transport: asyncio.Transport, left: int, patience: float) -> None:
        """`left` bytes of it are still to come."""
        self.left = left
        self._connection = connection
        self._transport = transport
        self._patience = patience
        self._into = memoryview(b"")
        self._filled: asyncio.Future[None] | None = None

    async def fill(self, into: memoryview) -> int:
        """Wait for so many of the next bytes, or for the rest if that is less; how many came.

        Only the time spent here counts against the sender. Raises `TooSlow`, `ConnectionError`.
        """
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")
        count = min(len(into), self.left)
        self._into = into[:count]
        self._filled = asyncio.get_running_loop().create_future()
        self._transport.resume_reading()
        try:
            while not self._filled.done():
                before = len(self._into)
                await asyncio.wait([self._filled], timeout=self._patience)
                if not self._filled.done() and before - len(self._into) < WINDOW_BYTES:
                    raise TooSlow(f"less than {WINDOW_BYTES} bytes of the body came in {self._patience:g} seconds")
            self._filled.result()
        finally:
            self._transport.pause_reading()
            self._filled = None
        return count

    # -- for the connection ----------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go; none beyond the body."""
        return self._into

    def buffer_updated(self, nbytes: int) -> None:
        """They have come."""
        self._into = self._into[nbytes:]
        self.left -= nbytes
        if not self._into:
            self._transport.pause_reading()
            self._end(None)

    def eof_received(self) -> None:
        """The client sends nothing more, though not all has come."""
        self._end(ConnectionResetError("the body broke off"))
        self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end(ConnectionResetError("the client has left"))
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """As the connection's own."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """As the connection's own."""
        self._connection.resume_writing()

    def _end(self, error: Exception | None) -> None:
        if self._filled is not None and not self._filled.done():
            if error is None:
                self._filled.set_result(None)
            else:
                self._filled.set_exception(error)


def is_large(request: Request) -> bool:
    """Whether the body is to be read by `intake`."""
    return (request.content_length or 0) >= LARGE and isinstance(request.protocol, Connection)


@asynccontextmanager
async def intake(request: Request) -> AsyncIterator[tuple[bytes, Intake]]:
    """What has come of a body of known length, and how to read the rest. What is not read is left to the connection.

    Raises `ConnectionError` when the client has left.
    """
    await proceed(request)
    connection, transport, length = request.protocol, request.transport, request.content_length
    if transport is None or length is None or not isinstance(connection, Connection):
        raise ConnectionResetError("the client has left")
    begun = bytearray()
    while piece := request.content.read_nowait():  # until the parser, too, has nothing left
        begun += piece
    taking = Intake(connection, transport, length - len(begun), request.app[CONFIG].patience)
    transport.pause_reading()
    transport.set_protocol(taking)
    try:
        yield bytes(begun), taking
    finally:
        request[PAST_PARSER] = length - len(begun) - taking.left
        transport.set_protocol(connection)
        if taking.left:
            transport.resume_reading()  # whoever waits until the client has read the answer drops the rest
        else:
            connection.retire()
            request.content.feed_eof()
