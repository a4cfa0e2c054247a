"""How values look to people: sizes, moments, counts. No I/O.

Whatever a template shows of stored data goes through its escaping; nothing here makes markup.
"""

from collections.abc import Callable, Mapping

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: int) -> str:
    """Bytes in the unit that keeps the number short.

    >>> size(1), size(1023), size(1536), size(5 << 30), size(1048575)
    ('1 byte', '1,023 bytes', '1.5 KiB', '5 GiB', '1 MiB')
    """
    if count < 1024:
        return "1 byte" if count == 1 else f"{count:,} bytes"
    amount, unit = float(count), 0
    while round(amount, 1) >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:,.1f}".removesuffix(".0") + f" {_UNITS[unit]}"


def count(number: int) -> str:
    """A number with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def moment(text: str | None) -> str:
    """A time (RFC 3339 in UTC) to the second, as people write it.

    >>> moment("2026-11-29T21:03:04.567Z"), moment(None)
    ('2026-11-29 21:03:04 UTC', '–')
    """
    if text is None:
        return "–"
    day, divider, clock = text.partition("T")
    return f"{day} {clock[:8]} UTC" if divider and text.endswith("Z") else text


def plural(number: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "record"), plural(2000, "record"), plural(0, "entry", "entries")
    ('1 record', '2,000 records', '0 entries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """A message of the program as people write it.

    >>> sentence("there is no such page"), sentence("Choose another."), sentence("")
    ('There is no such page.', 'Choose another.', '')
    """
    return text[:1].upper() + text[1:] + ("" if text[-1:] in (".", "!", "?", "") else ".")


FILTERS: Mapping[str, Callable[..., str]] = {
    "size": size,
    "count": count,
    "moment": moment,
    "plural": plural,
    "sentence": sentence,
}
"""What templates call them."""
