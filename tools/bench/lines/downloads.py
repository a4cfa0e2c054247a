"""Downloads: one large file, ranges of one, many small ones."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.load import apart, place, ranges
from tools.bench.ours import ours
from tools.bench.pairs import Work
from tools.bench.peers.nginx import nginx
from tools.bench.peers.reference import reference
from tools.bench.peers.registry import NAME, registry
from tools.bench.samples import made
from tools.bench.wire import Connection, fetched, head
from tools.bench.wrk import Wrk

LARGE, FILM, RANGE, SMALL = 1 << 30, 810_000_000, 1 << 20, 4096
RANGES, AT_ONCE = 64, 16
ROUNDS = 8
"""How often they are read: once is too short to measure."""
FEW = 256
"""Small blobs, so many different ones."""
CONNECTIONS = 32
SECONDS = 2


def large(bench: Bench) -> Iterator[Figure]:
    """The client's token, so that each download is checked against a grant and recorded."""
    with ours(bench.scratch / "data") as server:
        file = made(bench.scratch / "large", bench.sized(LARGE), b"large")
        (path,) = server.attach([file])
        bearer = {"Authorization": f"Bearer {server.granted()}"}
        request = head("GET", server.url, path.partition("?")[0], 0, bearer)
        work = partial(fetched, server.url, request)
        yield bench.versus("nginx, the same file", Goal(Of.RATE, 0.95), work, _static(bench.scratch, file))


@contextmanager
def _static(scratch: Path, file: Path) -> Iterator[Work]:
    with nginx(scratch / "nginx") as url:
        os.link(file, scratch / "nginx" / "files" / file.name)
        yield partial(fetched, url, head("GET", url, f"/{file.name}"))


def some_ranges(bench: Bench) -> Iterator[Figure]:
    """An owner's token."""
    size, length = bench.sized(FILM), bench.sized(RANGE)
    asked = (size, length, RANGES * bench.sized(ROUNDS), AT_ONCE)
    with ours(bench.scratch / "data") as server:
        file = made(bench.scratch / "film", size, b"film")
        (path,) = server.attach([file])
        work = partial(apart, ranges, server.url, path, *asked, server.headers)
        with_nginx = _ranges_of(bench.scratch, file, asked)
        yield bench.versus("nginx, the same file", Goal(Of.RATE, 0.5), work, with_nginx)


@contextmanager
def _ranges_of(scratch: Path, file: Path, asked: tuple[int, ...]) -> Iterator[Work]:
    with nginx(scratch / "nginx") as url:
        os.link(file, scratch / "nginx" / "files" / file.name)
        yield partial(apart, ranges, url, f"/{file.name}", *asked, {})


def small(bench: Bench) -> Iterator[Figure]:
    """By wrk; an owner's token."""
    bodies = [os.urandom(SMALL) for _ in range(bench.sized(FEW))]
    with ours(bench.scratch / "data", "--workers", str(bench.workers)) as server:
        work = _wrk(bench, "ours", server.url, server.attach(bodies), server.headers)
        yield bench.versus("docker-registry", Goal(Of.RATE, 1), work, _of_registry(bench, bodies))
        yield bench.versus("PDPP reference", Goal(Of.RATE, 10), work, _of_reference(bench, bodies))


def _wrk(bench: Bench, name: str, url: str, paths: list[str], headers: dict[str, str]) -> Work:
    asking = Wrk(bench.scratch / f"{name}.lua", url, paths, headers)
    return partial(asking.seconds, CONNECTIONS, bench.sized(SECONDS))


@contextmanager
def _of_registry(bench: Bench, bodies: list[bytes]) -> Iterator[Work]:
    with registry(bench.scratch / "registry") as url:
        paths = []
        connection = Connection(url)
        for body in bodies:
            digest = hashlib.sha256(body).hexdigest()
            connection.send(head("POST", url, f"/v2/{NAME}/blobs/uploads/"))
            connection.send(head("PUT", url, place(connection.answer(), digest), len(body)) + body)
            connection.answer()
            paths.append(f"/v2/{NAME}/blobs/sha256:{digest}")
        connection.close()
        yield _wrk(bench, "registry", url, paths, {})


@contextmanager
def _of_reference(bench: Bench, bodies: list[bytes]) -> Iterator[Work]:
    with reference(bench.reference) as server:
        yield _wrk(bench, "reference", server.url, server.attach(bodies), server.headers)


LINES = (
    Line("download", "download 1 GiB, grant checked, disclosure recorded", large),
    Line("ranges", "64 ranged reads of 1 MiB from an 810 MB blob, 16 at a time", some_ranges),
    Line("download-small", "download 4 KiB blobs, 32 connections, owner token, `--workers`", small, needs=("wrk",)),
)
