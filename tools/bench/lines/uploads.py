"""Uploads: one large file, many small ones."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.lines.downloads import CONNECTIONS, LARGE, SMALL
from tools.bench.load import apart, place, pushes, uploads
from tools.bench.ours import Ours, emptied, ours, upload_path
from tools.bench.pairs import Work
from tools.bench.peers.nginx import nginx
from tools.bench.peers.programs import program
from tools.bench.peers.reference import reference
from tools.bench.peers.registry import NAME, registry
from tools.bench.samples import digest_of, made
from tools.bench.wire import Connection, head

MANY = 1000


def large(bench: Bench) -> Iterator[Figure]:
    """Another content each time; what is stored goes again after the clock."""
    data, file = bench.scratch / "data", made(bench.scratch / "large", bench.sized(LARGE), b"large")
    with ours(data) as server:
        work = partial(_stored, server, file, data / "blobs")
        yield bench.versus("nginx WebDAV PUT, sync -f", Goal(Of.RATE, 0.8), work, _webdav(bench.scratch, file))
        yield bench.versus("docker-registry push", Goal(Of.RATE, 2), work, _push(bench.scratch, file))


def _stored(server: Ours, file: Path, blobs: Path) -> float:
    request = head("POST", server.url, upload_path("large"), _changed(file), server.headers)
    begun = time.perf_counter()
    with closing(Connection(server.url)) as connection:
        connection.send(request, file)
        connection.answer()
        seconds = time.perf_counter() - begun
    emptied(blobs)
    return seconds


@contextmanager
def _webdav(scratch: Path, file: Path) -> Iterator[Work]:
    with nginx(scratch / "nginx") as url:
        yield partial(_put, url, file, scratch / "nginx" / "files", program("sync"))


def _put(url: str, file: Path, files: Path, sync: str) -> float:
    request = head("PUT", url, "/large", _changed(file))
    begun = time.perf_counter()
    with closing(Connection(url)) as connection:
        connection.send(request, file)
        connection.answer()
        subprocess.run([sync, "-f", files / "large"], check=True)
        seconds = time.perf_counter() - begun
    emptied(files)
    return seconds


@contextmanager
def _push(scratch: Path, file: Path) -> Iterator[Work]:
    with registry(scratch / "registry") as url:
        yield partial(_pushed, url, file, scratch / "registry" / "data")


def _pushed(url: str, file: Path, data: Path) -> float:
    """The digest that a push names is worked out before the clock."""
    size = _changed(file)
    digest = digest_of(file)
    begun = time.perf_counter()
    with closing(Connection(url)) as connection:
        connection.send(head("POST", url, f"/v2/{NAME}/blobs/uploads/"))
        connection.send(head("PUT", url, place(connection.answer(), digest), size), file)
        connection.answer()
        seconds = time.perf_counter() - begun
    emptied(data)
    return seconds


def _changed(file: Path) -> int:
    """Another content of the same size."""
    with file.open("r+b") as content:
        content.write(os.urandom(16))
    os.sync()
    return file.stat().st_size


def small(bench: Bench) -> Iterator[Figure]:
    """From a process of its own; the same client for all. One worker: several share no commits."""
    asked = (SMALL, bench.sized(MANY), CONNECTIONS)
    with ours(bench.scratch / "data") as server:
        work = partial(apart, uploads, server.url, *asked, server.headers)
        yield bench.versus("docker-registry", Goal(Of.RATE, 5), work, _small_pushes(bench, asked))
        yield bench.versus("PDPP reference", Goal(Of.RATE, 10), work, _small_to_reference(bench, asked))


@contextmanager
def _small_pushes(bench: Bench, asked: tuple[int, ...]) -> Iterator[Work]:
    with registry(bench.scratch / "registry") as url:
        yield partial(apart, pushes, url, *asked)


@contextmanager
def _small_to_reference(bench: Bench, asked: tuple[int, ...]) -> Iterator[Work]:
    with reference(bench.reference) as server:
        yield partial(apart, uploads, server.url, *asked, server.headers)


LINES = (
    Line("upload", "upload 1 GiB with BLAKE3 + SHA-256 + fsync, durable", large),
    Line("upload-small", "upload 4 KiB blobs, durable each, 32 connections", small),
)
