"""One worker as its supervisor sees it: a process that says when it is ready, and ends when it is let go of."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

from server.inherited import ANNOUNCED, Inherited


class Worker:
    """A fresh process, no fork: threads and event loops do not survive one. Make one with `start`."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int, ready: asyncio.StreamReader) -> None:
        self._process = process
        self._lifeline: int | None = lifeline
        self._ready = ready

    @classmethod
    async def start(cls, command: Sequence[str], sockets: Sequence[int], environment: Mapping[str, str]) -> Self:
        """Start the command, with these variables beside ours; standard output and error are ours.

        Raises `OSError` where no process can be made.
        """
        read_lifeline, lifeline = os.pipe()
        read_ready, ready = os.pipe()
        said = asyncio.StreamReader()
        listening, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(said), os.fdopen(read_ready, "rb")
        )
        passed = Inherited(sockets, read_lifeline, ready)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=passed.descriptors,
                env={**os.environ, **environment, **passed.environment()},
                process_group=0,  # what a terminal sends is for the supervisor alone
            )
        except BaseException:
            os.close(lifeline)
            listening.close()
            raise
        finally:
            os.close(read_lifeline)
            os.close(ready)
        return cls(process, lifeline, said)

    @property
    def pid(self) -> int:
        """Names it in the log."""
        return self._process.pid

    async def is_ready(self) -> bool:
        """Wait until it takes requests; False: it ended before."""
        if await self._ready.read(1):
            return True
        await self._process.wait()
        return False

    async def ended(self) -> int:
        """Wait for its end, and let go of what is left of it; the exit code, negative for a signal."""
        code = await self._process.wait()
        self.let_go()
        return code

    def announce(self) -> None:
        """The service is to end: have it say that it is not ready, and leave in a while."""
        if self._lifeline is not None:
            with suppress(BrokenPipeError):
                os.write(self._lifeline, ANNOUNCED)

    def let_go(self) -> None:
        """Have it finish its requests and end. Harmless when repeated."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def kill(self) -> None:
        """End it whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()


def this_program(arguments: Sequence[str]) -> list[str]:
    """The command line that runs this installation again; -P: whatever lies in the working directory is not ours."""
    return [sys.executable, "-P", "-m", "tools", *arguments]
