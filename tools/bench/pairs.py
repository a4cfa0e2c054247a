"""Ours and a peer at the same work in turn, and what the pairs say about the ratio: its median and an interval."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95

Work = Callable[[], float]
"""Does it once; the seconds that it took, without what had to be prepared."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Seconds of ours and of the peer's, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]


def interleaved(ours: Work, theirs: Work, count: int) -> Pairs:
    """Once each to warm up, then so many pairs, in alternating order: what else the machine does meets both."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(count):
        for which in (0, 1) if number % 2 else (1, 0):
            times[which].append((ours, theirs)[which]())
    return Pairs(tuple(times[0]), tuple(times[1]))


@dataclass(frozen=True, slots=True)
class Median:
    """The median of a sample, and between which two of its values the true one lies, 19 times in 20.

    Of fewer than six values not even the least and the greatest are that sure; they are given all the same.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Median":
        """By order statistics: nothing is assumed about how the values are distributed."""
        ordered = sorted(values)
        spare = _spare(len(ordered))
        return cls(statistics.median(ordered), ordered[spare], ordered[-1 - spare])


def _spare(count: int) -> int:
    """How many values may be left out at each end.

    >>> [_spare(count) for count in (1, 5, 6, 15, 25)]
    [0, 0, 0, 3, 7]
    """
    spare, outside = 0, 2.0 ** (1 - count)
    while True:
        outside += 2.0 ** (1 - count) * math.comb(count, spare + 1)
        if outside > 1 - CONFIDENCE or 2 * (spare + 1) >= count:
            return spare
        spare += 1
