"""A server of this installation, started as a user starts it; for the demonstration and the benchmarks."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blobstore.client import connect


def blobstore(*arguments: str | Path) -> list[str]:
    """The command line of this very installation."""
    return [sys.executable, "-m", "tools", *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, its address, and an owner token for it."""

    url: str
    token: str
    process: "subprocess.Popen[str]"
    started: float
    """Seconds from its start until it was ready."""

    @property
    def headers(self) -> dict[str, str]:
        """What an owner's request carries."""
        return {"Authorization": f"Bearer {self.token}"}

    def wait(self) -> None:
        """Until the server ends."""
        self.process.wait()

    def idle(self) -> int:
        """Resident bytes after one warm-up request: what is loaded lazily counts as idle."""
        with ThreadPoolExecutor(1) as apart:  # whoever measures may have an event loop running in this thread
            apart.submit(asyncio.run, self._asked()).result()
        return sum(_status(pid, "VmRSS") for pid in self._pids())

    def reset_peak(self) -> None:
        """Begin a new high-water mark."""
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Resident bytes at the high-water mark, summed over the server's processes."""
        return sum(_status(pid, "VmHWM") for pid in self._pids())

    async def _asked(self) -> None:
        async with connect(self.url, self.token) as client:
            await client.streams()

    def _pids(self) -> list[int]:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]


@contextmanager
def serving(data: Path, owner: str, *options: str, serve: Sequence[str] = ()) -> Iterator[Server]:
    """A server on a free loopback port over `data`, told these options; stopped by SIGTERM at the end.

    `serve` are those that no other command knows.
    """
    token = subprocess.run(
        blobstore("token", "create", "--data", data, "--owner", owner, *options),
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    command = blobstore("serve", "--data", data, "--port", "0", *options, *serve)
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        yield Server(line.split()[-1], token, process, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)  # longer than the drain


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no {name}")
