"""The one order of records: cursor values as bytes that compare as the values do, and then keys by code points.

Layout: a tag for the kind of value, the value in a form in which no encoding is the beginning of another.
Kinds in ascending order: false, true, numbers, strings, then arrays and objects by their canonical JSON text.
Integers of any size and floats stand in one exact numeric order: 2**53 + 1 is above 2.0**53, and -0.0 is 0.

A record without the cursor field, or with null in it, is `absent` and ordered by its key alone.
"""

import math

from records import jsontext
from records.model import SortKey

_FALSE, _TRUE = b"\x10", b"\x11"
_MINUS_INFINITY, _NEGATIVE, _ZERO, _POSITIVE, _INFINITY = b"\x20", b"\x21", b"\x22", b"\x23", b"\x24"
_STRING = b"\x30"
_OTHER = b"\x40"

_BIAS = 2048
"""Added to binary exponents: those of floats are above -1100. Larger sums than 0xFFFE take eight bytes more."""

_INVERTED = bytes(255 - byte for byte in range(256))


def sort_key(cursor_value: object) -> SortKey:
    """The place of a record. `cursor_value` is decoded JSON; None for a record without the field.

    Raises `ValueError` for NaN, which JSON does not have.
    """
    if cursor_value is None:
        return SortKey(True, b"")
    return SortKey(False, _value(cursor_value))


def _value(value: object) -> bytes:
    if isinstance(value, bool):  # before int, which bool is a kind of
        return _TRUE if value else _FALSE
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        return _STRING + _delimited(_utf8(value))
    return _OTHER + _delimited(jsontext.canonical(value))


def _number(value: int | float) -> bytes:
    if value == 0:
        return _ZERO
    if value in (math.inf, -math.inf):  # not math.isinf: it cannot take every integer
        return _INFINITY if value > 0 else _MINUS_INFINITY
    numerator, denominator = abs(value).as_integer_ratio()
    # value = 0.1bbb… (binary) * 2**exponent: compare exponents first, then the bits from the left.
    exponent = numerator.bit_length() - (denominator.bit_length() - 1)
    width = (numerator.bit_length() + 7) // 8
    bits = (numerator << (8 * width - numerator.bit_length())).to_bytes(width, "big")
    magnitude = _exponent(exponent) + _delimited(bits.rstrip(b"\0"))
    return _POSITIVE + magnitude if value > 0 else _NEGATIVE + magnitude.translate(_INVERTED)


def _exponent(exponent: int) -> bytes:
    biased = exponent + _BIAS
    return biased.to_bytes(2, "big") if biased < 0xFFFF else b"\xff\xff" + biased.to_bytes(8, "big")


def _delimited(raw: bytes) -> bytes:
    """Ends with two zero bytes; a zero byte inside is followed by 255, so that the end compares below it."""
    return raw.replace(b"\0", b"\0\xff") + b"\0\0"


def _utf8(text: str) -> bytes:
    # UTF-8 keeps the order of code points, also of the lone surrogates that JSON can write.
    return text.encode("utf-8", "surrogatepass")
