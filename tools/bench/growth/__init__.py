"""`blobstore bench growth`: how the cost of a request grows with the store, as tables and plots."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec

from tools.bench.growth import blobs, connections, connectors, records
from tools.bench.growth.figures import Growth
from tools.bench.growth.plot import plot
from tools.bench.machine import machine, software
from tools.output import json_option, listing

RECORDS = (10_000, 100_000, 1_000_000, 10_000_000)
BLOBS = (1_000, 10_000, 100_000, 1_000_000)
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
CONNECTORS = (1, 10, 100, 1_000, 2_000)
SECONDS = 3.0
"""For which each number of connections asks each kind of request."""

Measure = Callable[[Path, Sequence[int]], Growth]

ALL: dict[str, tuple[Sequence[int], Measure]] = {
    "records": (RECORDS, records.measure),
    "blobs": (BLOBS, lambda scratch, sizes: asyncio.run(blobs.measure(scratch, sizes))),
    "connections": (CONNECTIONS, partial(connections.measure, seconds=SECONDS)),
    "connectors": (CONNECTORS, partial(connectors.measure, topology="single")),
    "connectors-divided": (CONNECTORS, partial(connectors.measure, topology="per-connector")),
}


@click.command()
@click.option("--only", type=click.Choice(list(ALL)), multiple=True, help="These plots alone; may be repeated.")
@click.option("--largest", type=click.IntRange(1), help="No size above this.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON and SVG here, e.g. docs/benchmarks."
)
@json_option
def growth(only: Sequence[str], largest: int | None, directory: Path | None, out: Path | None, as_json: bool) -> None:
    """Rate and latency over the number of records, blobs, connections and connectors."""
    for name in only or ALL:
        sizes, measure = ALL[name]
        told = [size for size in sizes if largest is None or size <= largest]
        with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as scratch:
            where = machine(Path(scratch))
            grown = measure(Path(scratch), told)
        listing(list(grown.rows()), as_json=as_json, columns=_columns(grown), title=grown.name)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            found = {"machine": where, "software": software(), "growth": grown}
            (out / f"growth-{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
            plot(grown, out / f"growth-{name}.svg")


def _columns(grown: Growth) -> Sequence[str]:
    return ("figure", *(f"{size:,}" for size in grown.sizes), "exponent", "must", "within")
