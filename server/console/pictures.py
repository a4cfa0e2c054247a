"""Pictures made on the server, as numbers for the templates to draw: bars of parts, and growth by month. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from records.usage import Month

WIDTH, HEIGHT = 1000, 100
"""The units of every picture; the style sheet says how large it is shown."""

NEXT_TO_NOTHING = 0.01
"""The part of all bytes that need not be seen: a few old records do not make a picture of empty years."""

MAX_MONTHS = 120
"""Months of a picture of growth; what is older is in its first."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: where it begins and how long it is. `kind` names its colour in the style sheet."""

    kind: str
    start: float
    length: float


def bar(parts: Sequence[tuple[str, int]], whole: int) -> list[Part]:
    """The parts one behind the other; `whole` is as long as the picture.

    >>> bar([("held", 30), ("saved", 10)], 40)
    [Part(kind='held', start=0.0, length=750.0), Part(kind='saved', start=750.0, length=250.0)]
    >>> bar([("held", 0)], 0)
    []
    """
    found, start = [], 0.0
    for kind, amount in parts:
        if amount > 0:
            length = round(amount / max(whole, 1) * WIDTH, 2)
            found.append(Part(kind, round(start, 2), length))
            start += length
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """A month: what was there at its end, of what is there now; and its column in the picture."""

    month: str
    records: int
    bytes: int
    left: float
    width: float
    height: float


def growth(months: Sequence[Month], now: str) -> list[Step]:
    """Every month from the one before the first that counts to `now` (`2026-11`), none left out.

    So the picture begins with next to nothing. What claims to be later is of now.

    >>> found = growth([Month("2026-09", 1, 10, 0), Month("2099-01", 2, 10, 20)], "2026-11")
    >>> [(each.month, each.records, each.bytes, each.height) for each in found]
    [('2026-08', 0, 0, 0.0), ('2026-09', 1, 10, 25.0), ('2026-10', 1, 10, 25.0), ('2026-11', 3, 40, 100.0)]
    >>> [each.month for each in growth([Month("1970-01", 1, 1, 0), Month("2026-10", 9, 999, 0)], "2026-11")]
    ['2026-09', '2026-10', '2026-11']
    >>> growth([], "2026-11")
    []
    """
    last = _number(now)
    came: dict[int, tuple[int, int]] = {}
    for each in months:
        number = min(max(_number(each.month), last - MAX_MONTHS + 1), last)
        records, size = came.get(number, (0, 0))
        came[number] = records + each.records, size + each.record_bytes + each.linked_bytes
    if not came:
        return []
    whole = max(sum(size for _, size in came.values()), 1)
    numbers = range(_beginning(came, whole) - 1, last + 1)
    width = WIDTH / len(numbers)
    steps = []
    records, size = (sum(each[of] for number, each in came.items() if number < numbers[0]) for of in (0, 1))
    for place, number in enumerate(numbers):
        more, larger = came.get(number, (0, 0))
        records, size = records + more, size + larger
        height = round(size / whole * HEIGHT, 2)
        steps.append(Step(_name(number), records, size, round(place * width, 2), round(width, 2), height))
    return steps


def _beginning(came: Mapping[int, tuple[int, int]], whole: int) -> int:
    """The month in which it first was more than next to nothing."""
    size = 0
    for number in sorted(came):
        size += came[number][1]
        if size > whole * NEXT_TO_NOTHING:
            return number
    return max(came)


def _number(month: str) -> int:
    year, _, of_year = month.partition("-")
    return int(year) * 12 + int(of_year) - 1


def _name(number: int) -> str:
    return f"{number // 12:04}-{number % 12 + 1:02}"
