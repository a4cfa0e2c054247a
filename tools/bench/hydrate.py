"""`blobstore bench hydrate`: a workspace into the server over HTTP, against copying and hashing the same tree."""

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from tools.output import json_option, listing
from tools.running import blobstore, serving
from tools.slack.sample import write as write_workspace

MIB = 1 << 20
GROWTH_LIMIT = 64 * MIB
RATIO_LIMIT = 2.0
AGAIN_LIMIT = 0.1


@dataclass(frozen=True, slots=True)
class Round:
    """One hydration: wall seconds of the first and the second run, growth of the server's memory in bytes."""

    first: float
    again: float
    idle: int
    growth: int
    hydrated: int
    distinct: int


HASHERS = ("b3sum", "sha256sum")


@click.command()
@click.option("--scale", default=0.1, show_default=True, help="1 is 15,410 files and 24 GB.")
@click.option("--size-scale", default=1.0, show_default=True, help="Multiplies every size, keeps the counts.")
@click.option("--source", type=click.Path(path_type=Path, exists=True), help="Hydrate this instead of a made one.")
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work; needs the space.")
@json_option
def hydrate(
    scale: float, size_scale: float, source: Path | None, rounds: int, directory: Path | None, as_json: bool
) -> None:
    """Hydrate a Slack workspace; the peer is cp -r, sync -f, b3sum and sha256sum over the same tree."""
    for hasher in HASHERS:
        if shutil.which(hasher) is None:
            raise click.ClickException(f"{hasher} is not installed: it is what hydration is measured against")
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        scratch = Path(name)
        if source is None:
            source = scratch / "workspace"
            write_workspace(source, scale=scale, size_scale=size_scale)
        rows = _measure(source, scratch, rounds)
    listing(rows, as_json=as_json, columns=("figure", "value", "limit", "within"))
    if not all(row["within"] for row in rows):
        raise click.exceptions.Exit(1)


def _measure(source: Path, scratch: Path, rounds: int) -> list[dict[str, object]]:
    _peer(source, scratch)  # warms the caches
    ours: list[Round] = []
    peers: list[float] = []
    steps: list[Callable[[], None]] = [
        lambda: ours.append(_hydrate(source, scratch / "data")),
        lambda: peers.append(_peer(source, scratch)),
    ]
    for number in range(rounds):
        for step in steps if number % 2 == 0 else reversed(steps):
            step()
    ratio = statistics.median(each.first / peer for each, peer in zip(ours, peers, strict=True))
    growth = max(each.growth for each in ours)
    again = statistics.median(each.again / each.first for each in ours)
    return [
        _row("first run, median seconds", statistics.median(each.first for each in ours)),
        _row("peer, median seconds", statistics.median(peers)),
        _row("first run / peer, median", ratio, RATIO_LIMIT),
        _row("second run / first run, median", again, AGAIN_LIMIT),
        _row("server's growth over idle, MiB, largest", growth / MIB, GROWTH_LIMIT / MIB),
        _row("files hydrated", ours[0].hydrated),
        _row("distinct blobs on disk", ours[0].distinct),
    ]


def _row(figure: str, value: float, limit: float | None = None) -> dict[str, object]:
    return {
        "figure": figure,
        "value": round(value, 3),
        "limit": limit,
        "within": limit is None or value <= limit,
    }


def _hydrate(source: Path, data: Path) -> Round:
    try:
        with serving(data, "bench") as server:
            idle = server.idle()
            server.reset_peak()
            command = blobstore("hydrate", "slack", source, "--server", server.url, "--token", server.token)
            command += ["--json", "--quiet"]
            started = time.perf_counter()
            report = subprocess.run(command, check=True, capture_output=True)
            first = time.perf_counter() - started
            growth = server.peak() - idle
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            again = time.perf_counter() - started
            statuses = {row["status"]: row for row in msgspec.json.decode(report.stdout) if "status" in row}
            hydrated = int(statuses.get("hydrated", {}).get("files", 0))
            distinct = sum(1 for path in (data / "blobs").rglob("*") if path.is_file())
            return Round(first, again, idle, growth, hydrated, distinct)
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _peer(source: Path, scratch: Path) -> float:
    """Copy the tree, make it durable, and hash it twice: what any store must do at the least."""
    copy = scratch / "copy"
    started = time.perf_counter()
    subprocess.run(["cp", "-r", str(source), str(copy)], check=True)
    subprocess.run(["sync", "-f", str(copy)], check=True)
    for hasher in HASHERS:
        find = subprocess.Popen(["find", str(copy), "-type", "f", "-print0"], stdout=subprocess.PIPE)
        subprocess.run(["xargs", "-0", hasher], stdin=find.stdout, check=True, stdout=subprocess.DEVNULL)
        find.wait()
    seconds = time.perf_counter() - started
    shutil.rmtree(copy)
    return seconds
