"""Times as text: UTC, RFC 3339 with microseconds and `Z`; such texts sort as the times do."""

import re
from datetime import UTC, datetime, timedelta

MAX_LENGTH = 64
"""Characters of a date-time that is taken from outside: arbitrary, but bounded."""

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)\Z", re.ASCII
)
_DURATION = re.compile(r"([1-9]\d{0,8})([smhdw])\Z", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def now() -> str:
    """The present moment."""
    return text(datetime.now(UTC))


def text(moment: datetime) -> str:
    """The one form in which times are stored and compared. `moment` must know its zone."""
    raise NotImplementedError


def parse(value: str) -> datetime:
    """Read an RFC 3339 date-time, in UTC; a leap second is its minute's last second. Raises `ValueError`."""
    raise NotImplementedError


def is_date_time(value: object) -> bool:
    """Whether this is a string that `parse` would read."""
    raise NotImplementedError


def duration(value: str) -> timedelta:
    """Read `90s`, `15m`, `12h`, `30d` or `4w`. Raises `ValueError` for anything else."""
    raise NotImplementedError
