"""A server under measurement: started as a user starts it, watched through /proc."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OWNER = "bench"


def blobstore(*arguments: str | Path) -> list[str]:
    """The command line of this very installation."""
    return [sys.executable, "-m", "tools", *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, its address, and an owner token for it."""

    url: str
    token: str
    pid: int

    def warm_up(self) -> None:
        """One request, so that what is loaded lazily counts as idle."""
        request = urllib.request.Request(self.url + "/v1/streams", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  (our own loopback address)
            answer.read()

    def idle(self) -> int:
        """Resident bytes after one warm-up request."""
        self.warm_up()
        return sum(_status(pid, "VmRSS") for pid in self._pids())

    def reset_peak(self) -> None:
        """Begin a new high-water mark."""
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Resident bytes at the high-water mark, summed over the server's processes."""
        return sum(_status(pid, "VmHWM") for pid in self._pids())

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


@contextmanager
def serving(data: Path) -> Iterator[Server]:
    """A server on a free loopback port over `data`; stopped by SIGTERM at the end."""
    token = subprocess.run(
        blobstore("token", "create", "--data", data, "--owner", OWNER), check=True, capture_output=True, text=True
    ).stdout.strip()
    process = subprocess.Popen(
        blobstore("serve", "--data", data, "--port", "0"), stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        yield Server(line.split()[-1], token, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no {name}")


def timed(command: list[str], **options: object) -> float:
    """Wall seconds of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    return time.perf_counter() - started
