"""The command: uploads, downloads, memory and deletions, each beside boto3 alone in one run."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import click

from blobstore.backends.where import Where
from tools.bench.bare import row
from tools.bench.curl import sent, taken
from tools.bench.ours import Ours
from tools.bench.s3.bare import Bare
from tools.bench.s3.deletion import deletion
from tools.bench.samples import MIB, made
from tools.output import json_option, listing
from tools.running import Server, serving
from tools.where import Reached, reach_options

SPEED = 0.8
"""Of boto3's own, at least."""

UPLOADS_LIMIT, DOWNLOAD_LIMIT = 256, 64
"""MiB over idle."""

DELETION_LIMIT = 1.5

PARTS = ("speed", "memory", "deletion")

Pairs = Sequence[tuple[float, float]]
"""Seconds of ours and of the peer's, round by round."""


@click.command("s3")
@click.option("--blobs", required=True, help="s3://BUCKET/PREFIX, with nothing below the prefix yet.")
@reach_options
@click.option("--size", default=100_000_000, show_default=True, help="Bytes of each file.")
@click.option("--large", default=2_000_000_000, show_default=True, help="Bytes of the one large file.")
@click.option("--side-by-side", default=8, show_default=True, help="Transfers at once where speed is measured.")
@click.option("--parallel", default=32, show_default=True, help="Uploads at once where memory is measured.")
@click.option("--blobs-deleted", default=10_000, show_default=True, help="Blobs that a collection removes.")
@click.option("--rounds", default=3, show_default=True, help="How often each speed is measured.")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, default=PARTS, help="Measure this alone.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def s3(blobs: str, directory: Path | None, as_json: bool, **options: Any) -> None:
    """Move blobs into and out of a store of S3; the peer is boto3 with the same store. Keys: where boto3 looks."""
    where = Reached.taken(options).at(blobs)
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = _Measured(where, Path(name), **options).rows()
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))
    if not all(each["within"] for each in rows):
        raise click.exceptions.Exit(1)


class _Measured:
    def __init__(
        self,
        where: Where,
        scratch: Path,
        size: int,
        large: int,
        side_by_side: int,
        parallel: int,
        blobs_deleted: int,
        rounds: int,
        parts: Sequence[str],
    ) -> None:
        self._where = where
        self._scratch = scratch
        self._size, self._large = size, large
        self._side_by_side, self._parallel = side_by_side, parallel
        self._deleted = blobs_deleted
        self._rounds = rounds
        self._parts = parts
        self._bare = Bare(where, scratch)
        self._numbers = count()

    def rows(self) -> list[dict[str, object]]:
        """All figures that are wanted."""
        measures = {"speed": self._speed, "memory": self._memory, "deletion": self._deletion}
        return [each for part, measure in measures.items() if part in self._parts for each in measure()]

    @contextmanager
    def _serving(self, name: str) -> Iterator[Server]:
        """A server that has done nothing yet, below a prefix of its own."""
        options = [f"--blobs={self._where.location}-{name}", *_options(self._where)]
        with serving(self._scratch / name, "bench", *options) as server:
            Ours(server.url, server.token).register()
            yield server

    def _speed(self) -> list[dict[str, object]]:
        with self._serving("speed") as server:
            up, down = self._pairs(server)
        return [*self._ratio("uploads", up), *self._ratio("downloads", down)]

    def _pairs(self, server: Server) -> tuple[Pairs, Pairs]:
        """(seconds by the server, by boto3) of uploads and of downloads, round by round."""
        up: list[tuple[float, float]] = []
        down: list[tuple[float, float]] = []
        for number in range(self._rounds + 1):
            paths = self._files(self._side_by_side)
            ids: list[str] = []
            up.append(
                _paired(partial(_send_all, server, paths, ids), partial(_at_once, self._bare.upload, paths), number)
            )
            names = [path.name for path in paths]
            ours, bare = partial(_at_once, partial(taken, server), ids), partial(_at_once, self._bare.download, names)
            down.append(_paired(ours, bare, number))
            for path in paths:
                path.unlink()
        return up[1:], down[1:]  # the first warms up

    def _ratio(self, what: str, pairs: Pairs) -> list[dict[str, object]]:
        megabytes = self._side_by_side * self._size / 1e6
        ratio = statistics.median(bare / ours for ours, bare in pairs)
        return [
            row(f"{what}, MB/s, median", megabytes / statistics.median(ours for ours, _ in pairs)),
            row(f"{what} by boto3, MB/s, median", megabytes / statistics.median(bare for _, bare in pairs)),
            row(f"{what} / boto3's, least", min(bare / ours for ours, bare in pairs)),
            row(f"{what} / boto3's, median", ratio, at_least=SPEED),
        ]

    def _memory(self) -> list[dict[str, object]]:
        # The download first: what 32 uploads leave in the allocator is not its own.
        with self._serving("memory") as server:
            idle = server.idle()
            path = self._scratch / "large"
            made(path, self._large, b"large")
            blob = _send(server, path)
            path.unlink()
            server.reset_peak()
            taken(server, blob)
            down = _growth(f"download of {self._large:,} bytes", idle, server, DOWNLOAD_LIMIT)
            paths = self._files(self._parallel)
            server.reset_peak()
            _at_once(partial(_send, server), paths)
            up = _growth(f"{self._parallel} parallel uploads of {self._size:,} bytes", idle, server, UPLOADS_LIMIT)
        for path in paths:
            path.unlink()
        return [down, up]

    def _deletion(self) -> list[dict[str, object]]:
        pairs = asyncio.run(deletion(self._scratch / "deleted", self._where, self._bare, self._deleted, self._rounds))
        return [
            row(f"deleting {self._deleted:,} blobs, s, median", statistics.median(ours for ours, _ in pairs)),
            row("the batched calls alone, s, median", statistics.median(bare for _, bare in pairs)),
            row("ratio, median", statistics.median(ours / bare for ours, bare in pairs), at_most=DELETION_LIMIT),
        ]

    def _files(self, count: int) -> list[Path]:
        paths = [self._scratch / f"file-{next(self._numbers)}" for _ in range(count)]
        for path in paths:
            made(path, self._size, path.name.encode())
        return paths


def _send(server: Server, path: Path) -> str:
    return sent(server, path, path.name)


def _at_once(call: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(call, values))


def _send_all(server: Server, paths: Sequence[Path], ids: list[str]) -> None:
    ids += _at_once(partial(_send, server), paths)


def _paired(ours: Callable[[], object], bare: Callable[[], object], number: int) -> tuple[float, float]:
    """Seconds of each side, which begin in turn."""
    seconds = [0.0, 0.0]
    for which in (0, 1) if number % 2 else (1, 0):
        started = time.perf_counter()
        (ours, bare)[which]()
        seconds[which] = time.perf_counter() - started
    return seconds[0], seconds[1]


def _growth(work: str, idle: int, server: Server, limit: int) -> dict[str, object]:
    return row(f"{work}: MiB over idle ({idle / MIB:.0f})", (server.peak() - idle) / MIB, at_most=limit)


def _options(where: Where) -> list[str]:
    told = {"endpoint": where.endpoint, "region": where.region, "ca-bundle": where.ca_bundle}
    return [f"--s3-{name}={value}" for name, value in told.items() if value is not None]
