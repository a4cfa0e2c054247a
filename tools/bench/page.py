"""The page and the picture of all lines that are kept in a folder: `results.md` and `results.svg`."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tools.bench.figures import Of
from tools.bench.results import Document, cells

PAGE, PICTURE = "results.md", "results.svg"

_HEAD = """# Results

Written by `blobstore bench --out`; what the lines mean, and where their limits are: [benchmarks](../benchmarks.md). A
figure is the median of the ratios of pairs that were measured in turn, with its interval (95 %). Each line's JSON file
has every pair.
"""
_COLUMNS = ("work", "against", "measured", "95 %", "goal", "reached", "ours", "peer")
_MEASURING = ("command", "pairs", "when", "load before and after")


def write(folder: Path, documents: Sequence[Document]) -> None:
    """Both anew; the picture only where matplotlib is."""
    pictured = _draw(folder / PICTURE, documents)
    parts = [_HEAD, f"![each figure beside its goal]({PICTURE})\n"] if pictured else [_HEAD]
    for (machine, software), some in groupby(documents, key=lambda each: (_machine(each), _software(each))):
        same = list(some)
        parts += [f"{machine}\n\n{software}\n", _table(_COLUMNS, [row for each in same for row in _rows(each)])]
        parts.append(_table(("line", *_MEASURING), [_measuring(each) for each in same]))
    missing = sorted({each["missing"] for one in documents for each in one["figures"] if each["missing"]})
    if missing:
        parts.append("Peers that were not there:\n\n" + "".join(f"- {each}\n" for each in missing))
    (folder / PAGE).write_text("\n".join(parts))


def _machine(found: Document) -> str:
    told = found["machine"]
    text = "Machine: {processor}, {cores} cores, {memory_gib} GiB of memory, Linux {kernel}, {file_system}."
    return text.format(**told)


def _software(found: Document) -> str:
    told = [f"{name} {version}" for name, version in found["software"].items() if version and name != "commit"]
    return f"Versions: {', '.join(told)}."


def _rows(found: Document) -> Iterator[tuple[str, ...]]:
    for figure in found["figures"]:
        work, *others = cells(found, figure)
        yield work.partition(": ")[2], *others


def _measuring(found: Document) -> tuple[str, ...]:
    load = f"{found['machine']['load_before']}, {found['machine']['load_after']}"
    when = f"{found['measured'].replace('T', ' ')[:16]}, {found['software']['commit']}"
    return f"[{found['line']}]({found['line']}.json)", f"`{found['command']}`", str(found["pairs"]), when, load


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _draw(path: Path, documents: Sequence[Document]) -> bool:
    """A row for each figure: how much better than its goal it is, or worse."""
    try:
        from matplotlib.figure import Figure  # of the extra `bench`: nobody else needs it
    except ImportError:
        return False
    shown = [(found, each) for found in documents for each in found["figures"] if each["median"]][::-1]
    picture = Figure(figsize=(10, 1 + 0.36 * len(shown)), layout="constrained")
    axes = picture.subplots()
    for place, (found, each) in enumerate(shown):
        value, low, high = (_beyond(each, each["median"][name]) for name in ("value", "low", "high"))
        colour = _REACHED if each["reached"] else _MISSED
        axes.plot([low, high], [place, place], color=colour, linewidth=4, alpha=0.35, solid_capstyle="round")
        axes.plot([value], [place], "o", color=colour)
        text, end = cells(found, each)[2], (max(value, low, high), place)
        axes.annotate(text, end, xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(1, color="#444444", linewidth=1)
    least = min((_beyond(each, each["median"]["low"]) for _, each in shown), default=1)
    most = max((_beyond(each, each["median"]["high"]) for _, each in shown), default=1)
    across = (min(least, 0.5) / 1.3, max(most, 2) * 1.6)
    axes.set(xscale="log", xlabel="times as good as the goal", xlim=across, ylim=(-0.7, len(shown) - 0.3))
    axes.set_yticks(range(len(shown)), [_label(found, each) for found, each in shown], fontsize=8)
    axes.grid(axis="x", alpha=0.3, which="both")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    marks = [mark for mark in _MARKS if across[0] <= mark <= across[1]]
    axes.set_xticks(marks, [f"{mark:g}×" for mark in marks])
    axes.minorticks_off()
    picture.savefig(path, metadata={"Date": None})
    return True


_MARKS = (0.25, 0.5, 1, 2, 4, 8, 16)
_REACHED, _MISSED = "#1b6ca8", "#c1502e"


def _beyond(figure: dict[str, Any], value: float) -> float:
    bound: float = figure["goal"]["bound"]
    return value / bound if figure["goal"]["of"] == Of.RATE else bound / max(value, bound / 100)


def _label(found: Document, figure: dict[str, Any]) -> str:
    part = (
        "" if figure["work"] == found["work"] else f", {figure['work'].rpartition(', ' if figure['peer'] else ': ')[2]}"
    )
    against = f" / {figure['peer']}" if figure["peer"] else ""
    return f"{found['line']}{part}{against} ({cells(found, figure)[4]})"
