"""Bytes of a file into the socket of a plain connection, by the kernel, without a copy through this process.

`loop.sendfile` is not used, for four reasons: it tells how much was sent only when all of it was, so that a reader who
stalls within a slice is not seen; it reads from the disk on the event loop, so that one cold file stops everyone; it
stops reading from the connection meanwhile, so that a client's farewell goes unnoticed; and uvloop has none.
"""

import asyncio
import fcntl
import os
import select
import socket
import struct
import termios
from contextlib import suppress
from types import TracebackType
from typing import Self

from blobstore.errors import StorageUnavailable
from blobstore.threads import to_the_end
from server.body import WINDOW_BYTES

_LINGER = 2
"""Milliseconds for which a worker waits for a fast reader; a slow one is waited for on the event loop."""

_PAUSE = 1.0
"""Seconds for which one push waits for a slow reader."""


class FilePipe:
    """From an open file to a connection's socket, past the transport, whose write buffer must be empty.

    A context manager. It works on a duplicate of the socket's descriptor: the transport closes its own whenever the
    client leaves, and the number may then be that of another connection.
    """

    def __init__(self, transport: asyncio.Transport, file: int, patience: float) -> None:
        self._transport = transport
        self._file = file
        self._patience = patience
        self._waited = 0.0
        self._socket = os.dup(transport.get_extra_info("socket").fileno())
        self._sent = 0
        self._taken = -unacknowledged(self._socket)

    async def push(self, offset: int, count: int) -> int:
        """Send some of these bytes; how many the kernel took. None is an answer too: then it waited for the reader.

        Raises `ConnectionError` when the client is gone, or took less than `WINDOW_BYTES` while it was waited for as
        long as `patience` seconds; `StorageUnavailable` when the file cannot be read or ends too early.
        """
        if self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        loop = asyncio.get_running_loop()
        sent = await to_the_end(loop.run_in_executor(None, _push, self._socket, self._file, offset, count))
        self._sent += sent
        if not sent:
            await self._wait()
        return sent

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        begun = loop.time()
        loop.add_writer(self._socket, ready.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_PAUSE, self._patience - self._waited)):
                    await ready.wait()
        finally:
            loop.remove_writer(self._socket)
        self._waited += loop.time() - begun
        # A full socket counts as writable again only when a third of it, up to a MB, is free: not all that is taken
        # can be seen by writing.
        taken = self._sent - unacknowledged(self._socket)
        if taken - self._taken >= WINDOW_BYTES:
            self._taken, self._waited = taken, 0.0
        elif self._waited >= self._patience:
            raise ConnectionAbortedError("the client takes no bytes any more")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._socket)


def cut(transport: asyncio.Transport) -> None:
    """End a connection at once, so that the client sees an error and not the end of a message.

    What the kernel holds for it is thrown away too: a reader who stalls would keep it for minutes, and one whose right
    was withdrawn would still get it.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def unacknowledged(connection: int) -> int:
    """Bytes that the kernel holds because the client has not confirmed them."""
    (held,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(held)


def _push(connection: int, file: int, offset: int, count: int) -> int:
    """Send until all is sent or the reader is behind. Blocks only for the disk."""
    sent = 0
    try:
        while sent < count:
            try:
                step = os.sendfile(connection, file, offset + sent, count - sent)
            except BlockingIOError:
                if not sent or not _writable_soon(connection):
                    break
                continue
            if step == 0:
                raise StorageUnavailable("a stored file ends too early")
            sent += step
    except ConnectionError:
        if not sent:
            raise
    except OSError as error:
        raise StorageUnavailable(f"a stored file cannot be read: {error.strerror}") from error
    return sent


def _writable_soon(connection: int) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    return bool(poll.poll(_LINGER))
