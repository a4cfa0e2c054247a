"""Programs of other makers on this machine: where they are, which versions, started and stopped."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.bench.peers import Missing

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

PACKAGES = {
    "nginx": "nginx",
    "docker-registry": "docker-registry",
    "wrk": "wrk",
    "b3sum": "b3sum",
    "sha256sum": "coreutils",
    "cp": "coreutils",
    "sync": "coreutils",
    "psql": "postgresql-client",
    "chromium": "chromium",
}
"""Each program's package in Debian."""

_VERSION = re.compile(r"\d+\.[\w.+-]+")
_ASK = {"nginx": "-v", "wrk": "-v"}


def program(name: str) -> str:
    """Its path. Raises Missing."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        raise Missing(f"{name} not found: Debian's package {PACKAGES[name]}")
    return found


def versions() -> dict[str, str | None]:
    """Of each peer, None where it is not there."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str | None:
    try:
        asked = subprocess.run([program(name), _ASK.get(name, "--version")], capture_output=True, text=True)
    except Missing:
        return None
    found = _VERSION.search(asked.stdout + asked.stderr)
    return found[0] if found else "unknown"


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def running(command: Sequence[str | Path], answers: Callable[[], bool], log: Path) -> Iterator[None]:
    """A server for the length of the block, which begins when it answers."""
    with log.open("wb") as out:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 20
        while not answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield
    finally:
        daemon.send_signal(signal.SIGINT)  # fast for all of them, also while clients are connected
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def listens(port: int) -> bool:
    """Whether a server listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
