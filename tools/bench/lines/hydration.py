"""Hydrating a made-up Slack workspace, beside copying its tree, making it durable and hashing it twice."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from tools.bench import parsing
from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.pairs import Work
from tools.bench.peers.programs import program
from tools.running import blobstore, serving
from tools.slack.sample import write

SCALE = 0.1
"""Of 15,410 files and 24 GB."""

WHOLE = 1.0
BYTES = 0.0001
"""What is left of the sizes of files where only their number counts."""

HASHERS = ("b3sum", "sha256sum")


def over_http(bench: Bench) -> Iterator[Figure]:
    """Into a new store each time; what the server needs to start is not counted."""
    source, data = _workspace(bench), bench.scratch / "data"
    work = partial(_sent, source, data)
    yield bench.versus("cp -r, sync -f, b3sum, sha256sum", Goal(Of.TIME, 1.3), work, _copying(source, bench.scratch))


def into_a_directory(bench: Bench) -> Iterator[Figure]:
    """On the file system that the workspace is on."""
    source, data = _workspace(bench), bench.scratch / "data"
    work = partial(_timed_away, [*_hydrate(source), "--data", str(data), "--owner", "bench"], data)
    yield bench.versus("cp -r, sync -f, b3sum, sha256sum", Goal(Of.TIME, 1), work, _copying(source, bench.scratch))


def again(bench: Bench) -> Iterator[Figure]:
    """Nothing is new. The peer is one process of Python that parses the same rows and asks for the same files."""
    source, data = bench.scratch / "workspace", bench.scratch / "data"
    write(source, scale=bench.scale * WHOLE, size_scale=BYTES)
    _seen_again(source / "slackdump.sqlite")
    goal, peer = Goal(Of.TIME, 2), "a bare pass of Python: msgspec, stat"
    local = [*_hydrate(source), "--data", str(data), "--owner", "bench"]
    passing = nullcontext(partial(_timed, [sys.executable, "-m", parsing.__name__, str(source)]))
    _timed(local)
    counted = f"re-run of a complete hydration of {parsing.counted(source)}"
    yield bench.versus(peer, goal, partial(_timed, local), passing, f"{counted}, --data")
    with serving(data, "bench") as server:
        remote = [*_hydrate(source), "--server", server.url, "--token", server.token]
        yield bench.versus(peer, goal, partial(_timed, remote), passing, f"{counted}, over HTTP")


def _seen_again(archive: Path) -> None:
    """As after another run of slackdump that found all as it was: twice as many rows, and more than half a million."""
    with closing(sqlite3.connect(archive)) as db, db:
        db.execute("INSERT INTO SESSION SELECT max(ID) + 1, 'resume', 1 FROM SESSION")
        (chunks,) = db.execute("SELECT max(ID) FROM CHUNK").fetchone()
        chunk = f"INSERT INTO CHUNK SELECT ID + {chunks}, (SELECT max(ID) FROM SESSION), TYPE_ID, CHANNEL_ID FROM CHUNK"
        db.execute(chunk)
        for table in parsing.TABLES:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            shifted = ", ".join(f"CHUNK_ID + {chunks}" if name == "CHUNK_ID" else name for name in columns)
            db.execute(f"INSERT INTO {table} SELECT {shifted} FROM {table}")


def _workspace(bench: Bench) -> Path:
    source = bench.scratch / "workspace"
    write(source, scale=SCALE * bench.scale, size_scale=bench.scale)
    return source


def _hydrate(source: Path) -> list[str]:
    return blobstore("hydrate", "slack", source, "--json", "--quiet")


def _sent(source: Path, data: Path) -> float:
    with serving(data, "bench") as server:
        seconds = _timed([*_hydrate(source), "--server", server.url, "--token", server.token])
    shutil.rmtree(data)
    return seconds


def _timed_away(command: Sequence[str], data: Path) -> float:
    seconds = _timed(command)
    shutil.rmtree(data)
    return seconds


def _timed(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


@contextmanager
def _copying(source: Path, scratch: Path) -> Iterator[Work]:
    hashers = [program(name) for name in HASHERS]
    yield partial(_copied, source, scratch / "copy", hashers)


def _copied(source: Path, copy: Path, hashers: Sequence[str]) -> float:
    """What any store must do at the least."""
    begun = time.perf_counter()
    subprocess.run(["cp", "-r", source, copy], check=True)
    subprocess.run(["sync", "-f", copy], check=True)
    for hasher in hashers:
        find = subprocess.Popen(["find", copy, "-type", "f", "-print0"], stdout=subprocess.PIPE)
        subprocess.run(["xargs", "-0", hasher], stdin=find.stdout, check=True, stdout=subprocess.DEVNULL)
        find.wait()
    seconds = time.perf_counter() - begun
    shutil.rmtree(copy)
    return seconds


LINES = (
    Line("hydrate", "hydrate `--scale 0.1` over HTTP: 1,541 files, 2.4 GB", over_http),
    Line("hydrate-data", "hydrate `--scale 0.1` with `--data` on the same file system", into_a_directory),
    Line("rehydrate", "re-run of a complete hydration", again),
)
