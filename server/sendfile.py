"""Bytes of a file into the socket of a plain connection, by the kernel, without a copy through this process.

`loop.sendfile` is not used, for four reasons: it tells how much was sent only when all of it was, so that a reader who
stalls within a slice is not seen; it reads from the disk on the event loop, so that one cold file stops everyone; it
stops reading from the connection meanwhile, so that a client's farewell goes unnoticed; and uvloop has none.

A worker sends, which may wait for the disk; what is short and in memory already the event loop sends itself.
"""

import asyncio
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from blobstore.errors import StorageUnavailable
from blobstore.threads import to_the_end
from server.body import WINDOW_BYTES

_LINGER = 2
"""Milliseconds for which a worker waits for a fast reader, or whether it may go on; more it waits on the event loop."""

_PAUSE = 1.0
"""Seconds for which one push waits for a slow reader, and after which one ends that is read all the time."""

_STEP = 256 << 10
"""Bytes that a worker sends before it looks again whether it may go on. The kernel works on all of them at once, and
keeps the reader on this machine waiting meanwhile: with 2 MiB a GB takes a fifth longer."""

_NEAR = 2 << 20
"""Bytes before the end of what it may send at which a worker has it asked whether it may send more."""

_FEW = 1 << 20
"""Bytes that are sent on the spot where they are in memory: a worker would take as long to be woken."""

_WINDOW = 512 << 10
"""Bytes that come from the disk at about the same time: what is next to a byte in memory is there, too, as a rule."""


class Run:
    """Bytes of a file that a worker sends in one go. How many it may send can be raised while it does."""

    def __init__(self, offset: int, count: int, may: int) -> None:
        """Of these bytes of the file it may send the first `may`."""
        self.offset = offset
        self.count = count
        self.may = min(may, count)
        self.sent = 0
        self.halted = False
        self._changed = threading.Event()

    def allow(self, may: int) -> None:
        """It may send so many."""
        self.may = min(may, self.count)
        self._changed.set()

    def halt(self) -> None:
        """It is to end soon, whatever it may send."""
        self.halted = True
        self._changed.set()

    def left(self) -> int:
        """How many it may still send; a worker waits a moment for more."""
        if self.sent == self.may < self.count and not self.halted:
            self._changed.clear()
            if self.sent == self.may:
                self._changed.wait(_LINGER / 1000)
        return 0 if self.halted else self.may - self.sent


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

    async def push(self, run: Run, ask: Callable[[], Awaitable[None]]) -> None:
        """Send the run, as far as it may go, or until the reader is behind: nothing may have been sent, then.

        While the last bytes that it may send go, `ask` is awaited: it may raise how many that are, so that a fast
        reader never waits for it. What it raises ends the run, and is raised.

        Raises `ConnectionError` when the client is gone, or took less than `WINDOW_BYTES` while it was waited for as
        long as `patience` seconds; `StorageUnavailable` when the file cannot be read or ends too early.
        """
        if self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        try:
            if run.may == run.count <= _FEW and _is_in_memory(self._file, run):
                _push(self._socket, self._file, run)
                await asyncio.sleep(0)  # others may go on between two of many
            else:
                await self._push_in_a_worker(run, ask)
        finally:
            self._sent += run.sent
        if not run.sent:
            await self._wait()

    async def _push_in_a_worker(self, run: Run, ask: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        asking: list[asyncio.Task[None]] = []

        async def asked() -> None:
            try:
                await ask()
            except BaseException:
                run.halt()
                raise

        def near() -> None:
            loop.call_soon_threadsafe(lambda: asking.append(loop.create_task(asked())))

        try:
            work = loop.run_in_executor(None, _push, self._socket, self._file, run, near, _LINGER)
            await to_the_end(work, run.halt)
            for each in asking:
                await each
        finally:
            for each in asking:
                each.cancel()

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


def _is_in_memory(file: int, run: Run) -> bool:
    """Whether the disk need not be read for it, as far as that can be told by a byte here and there."""
    try:
        for place in range(run.offset, run.offset + run.count, _WINDOW):
            os.preadv(file, [bytearray(1)], place, os.RWF_NOWAIT)
    except OSError:  # it would have to be waited for, or this file system does not tell
        return False
    return True


def _push(connection: int, file: int, run: Run, near: Callable[[], object] = lambda: None, linger: int = 0) -> None:
    """Send until all that may be is sent or the reader is behind, for longer than `linger` milliseconds.

    Blocks for those, and for the disk.
    """
    deadline, told = time.monotonic() + _PAUSE, run.count
    try:
        while (left := run.left()) > 0:
            if left <= _NEAR and run.may < run.count and run.may != told:
                told = run.may
                near()
            try:
                step = os.sendfile(connection, file, run.offset + run.sent, min(left, _STEP))
            except BlockingIOError:
                if not run.sent or time.monotonic() >= deadline or not _writable_soon(connection, linger):
                    break
                continue
            if step == 0:
                raise StorageUnavailable("a stored file ends too early")
            run.sent += step
    except ConnectionError:
        if not run.sent:
            raise
    except OSError as error:
        raise StorageUnavailable(f"a stored file cannot be read: {error.strerror}") from error


def _writable_soon(connection: int, linger: int) -> bool:
    if not linger:
        return False
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    return bool(poll.poll(linger))
