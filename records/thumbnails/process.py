"""The process that makes thumbnails, started when it is needed and ended when it is not."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress

from blobstore.errors import StorageUnavailable
from blobstore.threads import to_the_end
from records.thumbnails.formats import READY, is_thumbnail

IDLE_SECONDS = 60.0
"""So long a process waits for the next picture."""

SECONDS = 60.0
"""For one picture, however busy the machine is; the child itself has far less time of the processor."""

PIECE = 1 << 20
"""Bytes that are read and handed over at once."""

LONGEST = 1 << 20
"""Bytes of an answer; a thumbnail has some thousands."""

Read = Callable[[int, int], Awaitable[bytes]]
"""Bytes from an offset on, so many."""


class Painter:
    """Makes one thumbnail at a time; the caller sees to that."""

    def __init__(self) -> None:
        self._closed = False
        self._child: Process | None = None
        self._resting: asyncio.TimerHandle | None = None

    async def paint(self, size: int, read: Read) -> bytes:
        """The thumbnail of a picture of `size` bytes; empty where none can be made, or the child died of it.

        Raises what `read` does; `StorageUnavailable` where no child can be started, or it is not done in `SECONDS`.
        """
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._require_open()
        try:
            # A child in the middle of a picture would have to end with it, and the next one take its time to start.
            answer = await to_the_end(self._exchange(size, read))
        except TimeoutError:
            raise StorageUnavailable("no thumbnail could be made in time: ask again later") from None
        self._resting = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end)
        return answer

    async def close(self) -> None:
        """End the child, and wait for that; no other is started."""
        self._closed = True
        if self._resting is not None:
            self._resting.cancel()
        child = self._child
        self._end()
        if child is not None:
            await child.wait()

    async def _exchange(self, size: int, read: Read) -> bytes:
        done = False
        try:
            async with asyncio.timeout(SECONDS):
                child = await self._started()
                with suppress(ConnectionError, asyncio.IncompleteReadError):  # it died
                    answer = await _asked(child, size, read)
                    done = True
                    return answer
                self._require_open()  # what it died of
                return b""
        finally:
            if not done:
                self._end()

    async def _started(self) -> Process:
        """The child, ready for a picture: what it dies of from here on is the picture."""
        if self._child is not None and self._child.returncode is None:
            return self._child
        try:
            self._child = child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "records.thumbnails.child"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                start_new_session=True,  # a Ctrl-C is for the server, which ends it
            )
            assert child.stdout is not None
            await child.stdout.readexactly(len(READY))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise StorageUnavailable("no process that makes thumbnails can be started: ask again later") from error
        return child

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("no thumbnails are made any more: the server is stopping")

    def _end(self) -> None:
        """End the child at once: it has nothing to lose."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()


async def _asked(child: Process, size: int, read: Read) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(size.to_bytes(8))
    for offset in range(0, size, PIECE):
        child.stdin.write(await read(offset, min(PIECE, size - offset)))
        await child.stdin.drain()
    length = int.from_bytes(await child.stdout.readexactly(4))
    answer = await child.stdout.readexactly(min(length, LONGEST))
    if length > LONGEST or not is_thumbnail(answer):
        raise ConnectionError("the child says what it never should: something in it has gone wrong")
    return answer
