"""Real processes of the program on one data directory, killed at random moments and started again."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.fakes.warm import Forked, fork


class Fleet:
    """Servers and commands. Every process may be killed at any time; one that ends otherwise must end well."""

    def __init__(
        self, data: Path, forking: Path, log: Path, program: str = "tools", options: Sequence[str] = ()
    ) -> None:
        """`options` are for every process."""
        self.data = data
        self.urls: list[str] = []
        """Of the servers that take requests, as far as we know."""
        self.killed: Counter[str] = Counter()
        """How many processes were killed, by command."""
        self.log = log
        self._forking = forking
        self._program = program
        self._options = options
        self._running: dict[int, str] = {}
        self._dead: dict[str, asyncio.Event] = {}

    async def serve_for_ever(self) -> None:
        """A server, and another one in its place each time that it is killed."""
        while True:
            await self._serve_once()

    @property
    def complaints(self) -> list[str]:
        """What processes said on standard error, but for those that made a new directory."""
        return [line for line in self.log.read_text().splitlines() if not line.endswith(": a new one is made")]

    def beside(self, data: Path) -> "Fleet":
        """Processes on another data directory."""
        return Fleet(data, self._forking, self.log)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """One server for the length of the block, and nobody is killed."""
        serving = asyncio.create_task(self.serve_for_ever())
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.wait([serving])

    async def command_for_ever(self, *arguments: str) -> None:
        """A command, again and again."""
        while True:
            code, _ = await self.command(*arguments)
            assert code in (0, -signal.SIGKILL), self._told(arguments, code)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """A command's exit code and what it printed; killed when the caller is cancelled."""
        at_rest = arguments[0] == "doctor" and not self._running
        process, out = await self._start(*arguments, program="tests.fakes.at_rest" if at_rest else None)
        try:
            printed = await out.read()
            return await process.ended(), printed.decode()
        finally:
            await self._kill(process)

    async def died(self, url: str) -> None:
        """Wait for the end of a server that broke a connection off: none does so while it lives."""
        await asyncio.wait_for(self._dead[url].wait(), 10)

    def kill_one(self, rng: random.Random) -> None:
        """`kill -9` one of the processes that run now, whichever it is, whatever it does."""
        if self._running:
            pid = rng.choice(sorted(self._running))
            self.killed[self._running[pid]] += 1
            _kill(pid)

    async def _serve_once(self) -> None:
        process, out = await self._start("serve", "--port", "0")
        url = ""
        try:
            url = (await out.readline()).decode().split("serving on ")[-1].strip()
            if url:
                self._dead[url] = asyncio.Event()
                self.urls.append(url)
            code = await process.ended()
            assert code == -signal.SIGKILL, self._told(["serve"], code)
        finally:
            if url:
                self.urls.remove(url)
                self._dead[url].set()
            await self._kill(process)

    async def _start(self, *arguments: str, program: str | None = None) -> tuple[Forked, asyncio.StreamReader]:
        reading, writing = os.pipe()
        with self.log.open("ab") as log:
            process = fork(
                self._forking,
                program or self._program,
                [*arguments, *self._options, "--data", str(self.data)],
                writing,
                log.fileno(),
            )
        os.close(writing)
        self._running[process.pid] = arguments[0]
        out = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(out)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
        return process, out

    async def _kill(self, process: Forked) -> None:
        """End a process that nobody waits for any more; one that has ended already is only forgotten."""
        del self._running[process.pid]
        if process.running:
            _kill(process.pid)
            await process.ended()

    def _told(self, arguments: Sequence[str], code: int) -> str:
        return f"{arguments[0]} ended with {code}: {self.log.read_text()[-3000:]}"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it ended in this moment by itself
        os.kill(pid, signal.SIGKILL)
