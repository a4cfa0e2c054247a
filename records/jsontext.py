"""JSON text in and out: strict, bounded in depth, and without loss where a text must be written anew."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_DEPTH = 512
"""Levels of nesting. The decoder itself gives up near 1,000, less what stands on the stack already."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_plain = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder(decimal_format="number")
_canonical = msgspec.json.Encoder(order="sorted", decimal_format="number")


def decode(raw: bytes) -> Any:
    """The value. Raises `ValueError` for text that is not JSON, `RecursionError` when it is nested too deeply.

    NaN, lone surrogates and numbers beyond a double's range are refused; integers are exact.
    """
    return _plain.decode(raw)


def decode_exact(raw: bytes) -> Any:
    """As `decode`, with `Decimal` for numbers that have a fraction or an exponent: `encode` gives them back exactly."""
    return _exact.decode(raw)


def encode(value: object) -> bytes:
    """Minified JSON, members in their order."""
    return _encoder.encode(value)


def canonical(value: object) -> bytes:
    """Minified JSON, members sorted: equal values give equal bytes (`1` and `1.0` are different)."""
    return _canonical.encode(value)


def is_too_deep(raw: bytes, value: object) -> bool:
    """Whether the decoded value is nested in more than `MAX_DEPTH` levels."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    level, depth = [value], 0
    while level := [child for child in level if isinstance(child, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            return True
        level = [child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent)]
    return False


def has_duplicate_members(raw: bytes, canonical: bytes) -> bool:
    """Whether an object in the text has two members of one name; `canonical` is the canonical form of its value.

    Decoding keeps the last of them only, and every member has one colon.
    """
    if b"\\u003" in raw:  # a colon in a string may be written as \u003a: count those outside strings only
        raw, canonical = _STRING.sub(b"", raw), _STRING.sub(b"", canonical)
    return raw.count(b":") != canonical.count(b":")


def _number(text: str) -> Decimal | float:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of more than 18 digits: a double reads it as 0
        return float(text)


_exact = msgspec.json.Decoder(float_hook=_number)
