"""What a benchmark says: a figure beside its goal, or which peer was not there."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tools.bench.pairs import Median, Pairs, Work, interleaved
from tools.bench.peers import Missing
from tools.bench.peers.programs import program

PAIRS = 15
"""Of each figure, where nobody says otherwise."""


class Of(StrEnum):
    """What a goal is about."""

    RATE = "rate"  # ours divided by the peer's: at least
    TIME = "time"  # the same: at most
    BYTES = "bytes"  # the same, of what was written
    MEMORY = "MiB"  # ours: at most


@dataclass(frozen=True, slots=True)
class Goal:
    """What must be reached."""

    of: Of
    bound: float

    def ratios(self, pairs: Pairs) -> list[float]:
        """Of each pair."""
        times = zip(pairs.ours, pairs.theirs, strict=True)
        return [theirs / ours if self.of is Of.RATE else ours / theirs for ours, theirs in times]

    def reached(self, value: float) -> bool:
        """Whether that is good enough."""
        return value >= self.bound if self.of is Of.RATE else value <= self.bound

    def __str__(self) -> str:
        match self.of:
            case Of.RATE:
                return f"≥ {self.bound:g}×"
            case Of.TIME:
                return f"≤ {self.bound:g}× its time"
            case Of.BYTES:
                return f"≤ {self.bound:g}×"
            case Of.MEMORY:
                return f"≤ {self.bound:g} MiB"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: a ratio with its interval, or MiB; or why there is none."""

    work: str
    peer: str
    goal: Goal | None
    median: Median | None = None
    pairs: Pairs | None = None
    missing: str = ""

    @property
    def reached(self) -> bool | None:
        """None where it could not be measured."""
        return None if self.median is None or self.goal is None else self.goal.reached(self.median.value)

    def document(self) -> dict[str, Any]:
        """As JSON keeps it, with each pair."""
        return {**asdict(self), "reached": self.reached}


@dataclass(frozen=True, slots=True)
class Bench:
    """How to measure: where, how often, and how much smaller than at full size."""

    scratch: Path
    pairs: int = PAIRS
    scale: float = 1.0
    workers: int = 2
    reference: str | None = None
    """http://TOKEN@HOST:PORT of a PDPP reference that runs."""
    database_url: str | None = None
    """An empty database in a PostgreSQL that runs, to be filled; None starts one."""

    def sized(self, full: int) -> int:
        """A size or a number at this scale, 1 at the least."""
        return max(1, round(full * self.scale))

    def versus(
        self, peer: str, goal: Goal, ours: Work, opening: AbstractContextManager[Work], work: str = ""
    ) -> Figure:
        """Ours and a peer that is there for as long as it is measured; `work` where it is not all of the line's."""
        try:
            with opening as theirs:
                pairs = interleaved(ours, theirs, self.pairs)
        except Missing as missing:
            return Figure(work, peer, goal, missing=str(missing))
        return Figure(work, peer, goal, Median.of(goal.ratios(pairs)), pairs)


Measure = Callable[[Bench], Iterator[Figure]]


@dataclass(frozen=True, slots=True)
class Line:
    """A benchmark by its name: one work, with a figure for each of its peers."""

    name: str
    work: str
    measure: Measure
    needs: tuple[str, ...] = ()
    """Programs without which nothing can be measured."""

    def figures(self, bench: Bench) -> Iterator[Figure]:
        """Measure."""
        try:
            for name in self.needs:
                program(name)
            for figure in self.measure(bench):
                yield replace(figure, work=figure.work or self.work)
        except Missing as missing:
            yield Figure(self.work, "", None, missing=str(missing))
