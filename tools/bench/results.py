"""What was measured: kept as a JSON file for each line, and shown as a table."""

import json
import os
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tools.bench.figures import PAIRS, Bench, Figure, Goal, Line, Of
from tools.bench.machine import machine, software
from tools.output import WIDE, size

Document = dict[str, Any]


def begun(line: Line, bench: Bench) -> Document:
    """A line's file before anything is measured."""
    return {
        "line": line.name,
        "work": line.work,
        "command": _command(line, bench),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "pairs": bench.pairs,
        "scale": bench.scale,
        "workers": bench.workers,
        "machine": machine(bench.scratch),
        "software": software(),
    }


def ended(found: Document, figures: Sequence[Figure]) -> Document:
    """The whole of it."""
    load = {"load_after": round(os.getloadavg()[0], 2)}
    return {**found, "machine": {**found["machine"], **load}, "figures": [each.document() for each in figures]}


def _command(line: Line, bench: Bench) -> str:
    """What measures this line alone in the same way."""
    words = ["blobstore bench --only", line.name]
    if bench.pairs != PAIRS:
        words.append(f"--pairs {bench.pairs}")
    if bench.scale != 1:
        words.append(f"--scale {bench.scale:g}")
    if "--workers" in line.work:
        words.append(f"--workers {bench.workers}")
    return " ".join(words)


def keep(folder: Path, found: Document) -> None:
    """Write it in the place of an earlier one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{found['line']}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def kept(folder: Path, names: Sequence[str]) -> list[Document]:
    """What there is of these lines, in their order."""
    paths = (folder / f"{name}.json" for name in names)
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def show(documents: Sequence[Document]) -> None:
    """Print the table, and which peers were not there."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("line", "against"):
        table.add_column(column, overflow="fold")
    for column in ("measured", "95 %", "goal", "", "ours", "peer"):
        table.add_column(column, justify="right")
    for found in documents:
        for each in found["figures"]:
            table.add_row(*cells(found, each))
    console = Console()
    Console(width=None if console.is_terminal else WIDE).print(table)
    for text in sorted({each["missing"] for found in documents for each in found["figures"] if each["missing"]}):
        console.print(text, highlight=False)


def told(figure: Figure) -> str:
    """A figure in one line, while others are still measured."""
    if figure.median is None:
        return figure.missing
    value, low, high = (_short(each) for each in (figure.median.value, figure.median.low, figure.median.high))
    return f"{value} ({low} – {high}) against {figure.peer}; goal {figure.goal}"


def cells(found: Document, figure: Document) -> tuple[str, ...]:
    """A row of the table."""
    goal, median, pairs = figure["goal"], figure["median"], figure["pairs"]
    scale = "" if found["scale"] == 1 else f" (sizes and numbers × {found['scale']:g})"
    work = f"{found['line']}: {figure['work']}{scale}"
    if median is None:
        return work, figure["peer"], "not found", "", _goal(goal), "", "", ""
    unit = " MiB" if goal and goal["of"] == Of.MEMORY else "×"
    return (
        work,
        figure["peer"],
        f"{_short(median['value'])}{unit}",
        f"{_short(median['low'])} – {_short(median['high'])}" if pairs else "",
        _goal(goal),
        {True: "yes", False: "no", None: ""}[figure["reached"]],
        *(_amount(goal, pairs[side]) if pairs else "" for side in ("ours", "theirs")),
    )


def _goal(goal: Document | None) -> str:
    return "" if goal is None else str(Goal(Of(goal["of"]), goal["bound"]))


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _amount(goal: Document, values: Sequence[float]) -> str:
    """The median, with its unit."""
    middle = statistics.median(values)
    if goal["of"] == Of.BYTES:
        return size(round(middle))
    for unit, length in (("s", 1.0), ("ms", 1e-3)):
        if middle >= length:
            return f"{middle / length:.3g} {unit}"
    return f"{middle / 1e-6:.3g} µs"
