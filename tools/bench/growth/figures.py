"""How one figure grows with the size of a store, and whether that is faster than it must."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

SLACK = 0.2
"""What an exponent may have above what it must: 10 times as much takes 1.6 times as long at most."""


@dataclass(slots=True)
class Figure:
    """One line of a plot: a value for each size."""

    name: str
    unit: str
    """`ms`, `s`, `MiB`; or `/s`: a rate, the higher the better."""

    must: float = 0.0
    """The exponent that nobody could avoid: 0 for what should cost the same in every store, 1 for what looks at all."""

    values: list[float] = field(default_factory=list)

    def exponent(self, sizes: Sequence[int]) -> float:
        """Of the cost between the first and the last size: 0 is flat, 1 is as fast as the store, 2 its square."""
        if len(sizes) < 2:
            return 0.0
        factor = self.values[-1] / self.values[0]
        return (-1 if self.unit.startswith("/") else 1) * math.log(factor) / math.log(sizes[-1] / sizes[0])


@dataclass(frozen=True, slots=True)
class Growth:
    """Figures over the same sizes: one plot."""

    name: str
    over: str
    """What there is more and more of."""

    sizes: list[int]
    figures: list[Figure]

    def rows(self) -> Iterator[Mapping[str, object]]:
        """A row for each figure: its value at each size, its exponent, and whether that is what it must be."""
        for each in self.figures:
            exponent = each.exponent(self.sizes)
            values = {f"{size:,}": float(f"{value:.3g}") for size, value in zip(self.sizes, each.values, strict=True)}
            told = {"exponent": round(exponent, 2), "must": each.must, "within": exponent <= each.must + SLACK}
            yield {"figure": f"{each.name}, {each.unit}", **values, **told}


class Growing:
    """Collects figures, size after size."""

    def __init__(self) -> None:
        self._figures: dict[str, Figure] = {}

    def add(self, name: str, unit: str, value: float, must: float = 0.0) -> None:
        """The value at the size at hand."""
        self._figures.setdefault(name, Figure(name, unit, must)).values.append(value)

    def median(self, name: str, work: Callable[[], object], times: int, must: float = 0.0) -> None:
        """Milliseconds that this takes, once everything is warm."""
        work()
        self.add(name, "ms", 1000 * statistics.median(timed(work) for _ in range(times)), must)

    @contextmanager
    def seconds(self, name: str, must: float = 0.0) -> Iterator[None]:
        """Seconds that the block takes."""
        started = time.perf_counter()
        yield
        self.add(name, "s", time.perf_counter() - started, must)

    def grown(self, name: str, over: str, sizes: Sequence[int]) -> Growth:
        """All of them."""
        return Growth(name, over, list(sizes), list(self._figures.values()))


def timed(work: Callable[[], object]) -> float:
    """Seconds that this takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
