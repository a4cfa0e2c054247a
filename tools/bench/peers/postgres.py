"""PostgreSQL on this machine: a scratch cluster with its defaults, and psql."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bench.peers import Missing
from tools.bench.peers.programs import program, running

USER = "blobstore"


@contextmanager
def cluster(beside: Path) -> Iterator[str]:
    """The address of a database in a new cluster on the same disk as `beside`, for the length of the block."""
    programs = _programs()
    # A folder of its own: the path of a socket is short, and who runs the server may not look into others.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=beside.parent))
    try:
        as_user = _unprivileged(folder)
        command = [*as_user, programs / "initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, cwd=folder)
        server = [*as_user, programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses="]
        ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", folder, "-U", USER, "-d", "postgres"]
        with running(server, lambda: subprocess.run(ready).returncode == 0, folder / "log"):
            yield f"postgresql://{USER}@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def psql(url: str, script: bytes) -> float:
    """Have psql run a script; the seconds, without its start and its connection."""
    command = [program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"]
    told = subprocess.run(command, input=_CLOCK + script + _CLOCK, check=True, capture_output=True).stdout
    begun, ended = map(float, told.split())
    return ended - begun


_CLOCK = b"SELECT extract(epoch FROM clock_timestamp());\n"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if (initdb := shutil.which("initdb")) is None:
        raise Missing("initdb not found: Debian's package postgresql")
    return Path(initdb).resolve().parent


def _unprivileged(folder: Path) -> list[str | Path]:
    """PostgreSQL refuses to be root: how a command is run as somebody else, whose the folder becomes."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
