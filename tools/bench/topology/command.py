"""The command: stores of several topologies side by side."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import click

from tools.bench.topology.growth import CONNECTORS, Growth, Row
from tools.bench.topology.writers import write
from tools.opening import Opening, configure
from tools.output import json_option, listing

TOPOLOGIES = ("single", "per-connector", "postgres")
ROUNDS = 3
SCALING_LIMIT = 0.8


@click.command()
@click.option(
    "--topology",
    "topologies",
    multiple=True,
    type=click.Choice(TOPOLOGIES),
    default=TOPOLOGIES[:2],
    show_default=True,
    help="Which to measure.",
)
@click.option("--database-url", help="An empty PostgreSQL database, for the topology `postgres`.")
@click.option("--size", "sizes", multiple=True, type=float, default=(1.0,), help="GB of records at which to measure.")
@click.option(
    "--writers", multiple=True, type=click.IntRange(1, CONNECTORS), default=(1, 4, 16), help="Importers at once."
)
@click.option("--burst", default=64_000, show_default=True, help="Records that they write together, each time.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def topology(
    topologies: Sequence[str],
    database_url: str | None,
    sizes: Sequence[float],
    writers: Sequence[int],
    burst: int,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Fill stores of each topology and measure them on the way; each writer is an importer in its own process."""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = list(_scaling(Path(name), burst))
        for each in topologies:
            growing = Growth(each, Path(name) / each, database_url, burst)
            rows += growing.measure(sorted(sizes), writers)
    listing(rows, as_json=as_json, columns=("topology", "gigabytes", "figure", "writers", "value", "unit"))


def _scaling(scratch: Path, burst: int) -> Iterator[Row]:
    """Two importers into two connectors against one, beside two bare writers into two files against one."""
    data = scratch / "scaling"
    configure(Opening(data, "per-connector", None))
    rates: dict[tuple[str, int], list[float]] = {}
    first = 0
    for _ in range(ROUNDS):
        for kind in ("bare", "store"):
            for count in (1, 2):
                places = [(scratch / f"bare{number}.db" if kind == "bare" else data, number) for number in range(count)]
                rates.setdefault((kind, count), []).append(write(kind, places, first, burst // 4))
                first += burst // 4
    ours, bare = (median(rates[kind, 2]) / median(rates[kind, 1]) for kind in ("store", "bare"))
    for figure, value in (("two importers / one", ours), ("two bare writers / one", bare), ("ratio", ours / bare)):
        yield {"topology": "per-connector", "figure": figure, "value": round(value, 2), "unit": "×"}
