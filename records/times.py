"""Times as text: UTC, RFC 3339 with microseconds and `Z`; such texts sort as the times do."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeGuard

import msgspec

MAX_LENGTH = 64
"""Characters of a date-time that is taken from outside: arbitrary, but bounded."""

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|(60))(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGITS = {len("2026-11-23T10:00:00" + rest): code for code, rest in enumerate(("Z", ".000Z", ".000000Z"))}
_DURATION = re.compile(r"([1-9]\d{0,6})([smhdw])\Z", re.ASCII)
_LONGEST = timedelta(days=365_000)  # added to the present moment it stays within the calendar
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def now() -> str:
    """The present moment."""
    return text(datetime.now(UTC))


def text(moment: datetime) -> str:
    """The one form in which times are stored and compared. `moment` must know its zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone names no moment")
    # Not strftime: it leaves the zeros of a year before 1000 out.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse(value: str) -> datetime:
    """Read an RFC 3339 date-time, in UTC; a leap second is the second before it. Raises `ValueError`."""
    found = _RFC3339.match(value) if len(value) <= MAX_LENGTH else None
    if found is None:
        raise ValueError("not an RFC 3339 date-time such as 2026-11-23T10:00:00Z")
    if found[1]:
        value = value[: found.start(1)] + "59" + value[found.end(1) :]
    try:
        return datetime.fromisoformat(value if value[-1] != "z" else value.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("a time beyond the calendar") from None


def moment(value: str) -> str | None:
    """The moment that a date-time, or a date (its first moment in UTC), names, as `text` writes it; None for others."""
    try:
        return text(parse(f"{value}T00:00:00Z" if len(value) == len("2026-11-23") else value))
    except ValueError:
        return None


def is_date_time(value: object) -> TypeGuard[str]:
    """Whether this is a string that `parse` reads."""
    if not isinstance(value, str):
        return False
    try:
        parse(value)
    except ValueError:
        return False
    return True


def packed(value: str) -> int | str:
    """A date-time in less room: an integer where it is in UTC with 0, 3 or 6 digits of a second, else the text."""
    digits = _DIGITS.get(len(value))
    if digits is None or value[10] != "T" or value[-1] != "Z":
        return value
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:  # no time, a leap second, or no day of the calendar
        return value
    return (moment - _EPOCH) // _MICROSECOND * 4 + digits


def unpacked(stored: int | str) -> str:
    """The date-time that was packed, to the letter."""
    if isinstance(stored, str):
        return stored
    minute, rest = divmod(stored, 4 * 60_000_000)
    second, fraction = divmod(rest >> 2, 1_000_000)
    moment = f"{_day(minute // 1440)}T{_MINUTES[minute % 1440]}:{_SECONDS[second]}"
    match rest & 3:
        case 0:
            return moment + "Z"
        case 1:
            return f"{moment}.{_THOUSANDTHS[fraction // 1000]}Z"
    return f"{moment}.{_THOUSANDTHS[fraction // 1000]}{_THOUSANDTHS[fraction % 1000]}Z"


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    """A day since 1970 as text: records of one list are mostly from few of them."""
    return (_EPOCH + timedelta(days=number)).date().isoformat()


# A time of a record is written for each that is shown: looking pieces up takes half as long as formatting them.
_SECONDS = [f"{number:02}" for number in range(60)]
_MINUTES = [f"{hour:02}:{minute}" for hour in range(24) for minute in _SECONDS]
_THOUSANDTHS = [f"{number:03}" for number in range(1000)]


def duration(value: str) -> timedelta:
    """Read `90s`, `15m`, `12h`, `30d` or `4w`, a thousand years at most. Raises `ValueError` for anything else."""
    found = _DURATION.match(value)
    length = None if found is None else timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if length is None or length > _LONGEST:
        raise ValueError("not a duration such as 12h or 30d")
    return length
