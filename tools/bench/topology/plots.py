"""Plots of `blobstore bench topology --json`: `python -m tools.bench.topology.plots FIGURES.json docs/images`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

_COLOURS = {"single": "#1b6ca8", "per-connector": "#c1502e", "postgres": "#3c7d4f"}


def main(figures: Path, out: Path) -> None:
    """Write one SVG for each question."""
    rows = [row for row in json.loads(figures.read_text()) if row["topology"] in _COLOURS and row.get("gigabytes")]
    out.mkdir(parents=True, exist_ok=True)
    largest = max(row["gigabytes"] for row in rows)
    by_writers = [row for row in rows if row["figure"] == "ingest" and row["gigabytes"] == largest]
    _plot(out / "topology-writers.svg", by_writers, "writers", f"Ingest at {largest:g} GB", "importers at once", "MB/s")
    for name, figure, title, unit in (
        ("pages", "page, p50", "A page of 100 from one connector, median", "ms"),
        ("merged", "page over all connectors, p50", "A page of 100 over 16 connectors, median", "ms"),
        ("erasure", "erasure of a connector", "Erasing one of 16 connectors", "s"),
        ("backup", "backup", "Backing up everything", "s"),
    ):
        chosen = [row for row in rows if row["figure"] == figure]
        _plot(out / f"topology-{name}.svg", chosen, "gigabytes", title, "GB of records", unit)


def _plot(path: Path, rows: Sequence[Row], along: str, title: str, across: str, unit: str) -> None:
    from matplotlib.figure import Figure  # of the extra `bench`: nobody else needs it

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for topology, colour in _COLOURS.items():
        points = sorted((row[along], row["value"]) for row in rows if row["topology"] == topology)
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=topology)
    axes.set(title=title, xlabel=across, ylabel=unit)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
