"""What a worker has from its supervisor: the sockets that clients reach, a lifeline, and a pipe to say it is ready.

The lifeline is a pipe of which the supervisor alone has the other end. It stays silent while the worker is to serve; a
byte announces the end of the service, its end (the supervisor let go of it, or died) has the worker leave.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from server.stopping import Stopping

VARIABLE = "BLOBSTORE_INHERITED"
"""Environment variable with the descriptors' numbers; a worker takes it out, so that its own children are none."""

ANNOUNCED = b"a"

LAST_RESORT = 30.0
"""Seconds beyond its drain after which a worker whose event loop stands still ends all the same."""


class Shared(socket.socket):
    """A listening socket that several processes accept from, each one connection at a time.

    asyncio accepts as many connections in one go as the socket's backlog: whoever woke first would have all of a burst.
    So it is told 1, and must not tell the kernel.
    """

    BACKLOG = 1

    def listen(self, backlog: int = 0, /) -> None:
        """The supervisor has done it."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """Descriptors that were passed on."""

    sockets: Sequence[int]
    lifeline: int
    ready: int

    @classmethod
    def take(cls) -> Self | None:
        """What this process was given; None: it is nobody's worker."""
        told = os.environ.pop(VARIABLE, None)
        if told is None:
            return None
        lifeline, ready, *sockets = map(int, told.split(","))
        for number in (lifeline, ready, *sockets):
            os.set_inheritable(number, False)
        return cls(sockets, lifeline, ready)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that the worker must be given."""
        return (self.lifeline, self.ready, *self.sockets)

    def environment(self) -> dict[str, str]:
        """What tells the worker of them."""
        return {VARIABLE: ",".join(map(str, self.descriptors))}

    def listening(self) -> list[socket.socket]:
        """The sockets, to accept from."""
        return [Shared(fileno=number) for number in self.sockets]

    def say_ready(self) -> None:
        """Requests are taken. Nobody listens any more where the supervisor died: the lifeline tells."""
        with suppress(BrokenPipeError):
            os.write(self.ready, b"r")
        os.close(self.ready)

    def follow(self, stopping: Stopping, drain: float) -> None:
        """Have `stopping` told what the lifeline says. To be called once, on the event loop.

        In a thread of its own, so that a worker whose event loop stands still does not outlive its supervisor by more
        than its drain and `LAST_RESORT`.
        """
        loop = asyncio.get_running_loop()

        def read() -> None:
            while os.read(self.lifeline, 1):
                _tell(loop, stopping.announce)
            _tell(loop, stopping.leave)
            time.sleep(drain + LAST_RESORT)
            os._exit(1)

        threading.Thread(target=read, name="lifeline", daemon=True).start()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has come to its end
        loop.call_soon_threadsafe(what)
