"""How long to wait before trying again."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def delays(attempts: int, *, first: float = 0.2, cap: float = 15.0) -> Iterator[float]:
    """Seconds to wait after each failure but the last: doubled each time, bounded, a little shorter by chance."""
    for n in range(attempts - 1):
        yield min(cap, first * 2**n) * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the header `Retry-After` asks for, in either of its forms; None without a readable one."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
