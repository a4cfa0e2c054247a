"""Which bytes a `Range` header asks for (RFC 9110 §14), and how several of them are framed. No I/O.

The rules:

* an unknown unit, a malformed header, or too many ranges: as if there were no header;
* a range that starts behind the end, or an empty suffix, is dropped; when all are, nothing is satisfiable;
* ranges that overlap or touch become one, so a reply is never longer than the bytes and its own framing;
* what remains is answered in the order in which it was asked for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_RANGES = 100
"""More than this, after joining, is answered with the whole: it would cost more than it saves."""

# The list rule (RFC 9110 §5.6.1): optional space around commas, empty elements are skipped. No space around "=" or "-".
_HEADER = re.compile(r"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
_PLAIN = re.compile(r"bytes=(?:[0-9]{1,15}-[0-9]{0,15}|-[0-9]{1,15})")
_MAX_DIGITS = 20  # more digits than any length has; int() itself refuses absurd ones


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The value of `Content-Range` for this part of `size` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def unsatisfied(size: int) -> str:
    """The value of `Content-Range` that a 416 carries."""
    return f"bytes */{size}"


def parse_range(header: str | None, size: int) -> tuple[ByteRange, ...] | None:
    """The ranges to answer with; none at all (416) when no range can be satisfied; None (200) without a usable header.

    >>> parse_range("bytes=0-1,-2", 10)
    (ByteRange(start=0, stop=2), ByteRange(start=8, stop=10))
    >>> parse_range("bytes=10-", 10)
    ()
    """
    match = _HEADER.fullmatch(header or "")
    if match is None:
        return None
    specs = [spec for spec in (element.strip(" \t") for element in match[1].split(",")) if spec]
    asked: list[ByteRange] = []
    for spec in specs:
        found = _SPEC.fullmatch(spec)
        if found is None or not _is_valid(found[1], found[2]):
            return None
        asked.append(_resolve(found[1], found[2], size))
    if not asked:
        return None
    joined = _join([span for span in asked if span.start < span.stop])
    return joined if len(joined) <= MAX_RANGES else None


def is_plain(header: str) -> bool:
    """Whether it asks for one range in the spelling that every server reads alike.

    >>> is_plain("bytes=0-9"), is_plain("bytes=0-9, 20-29"), is_plain("bytes=10-5000000000000000")
    (True, False, False)
    """
    return _PLAIN.fullmatch(header) is not None


def multipart(ranges: Sequence[ByteRange], size: int, media_type: str, boundary: str) -> tuple[bytes | ByteRange, ...]:
    """A `multipart/byteranges` body: framing as bytes, content as ranges still to be read."""
    body: list[bytes | ByteRange] = []
    for span in ranges:
        opening = "\r\n--" if body else "--"
        head = f"{opening}{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {span.content_range(size)}\r\n\r\n"
        body += [head.encode(), span]
    return (*body, f"\r\n--{boundary}--\r\n".encode())


def _is_valid(first: str, last: str) -> bool:
    if first and last:
        return _number(first) <= _number(last)
    return bool(first or last)


def _resolve(first: str, last: str, size: int) -> ByteRange:
    """Cut to the bytes that there are; empty when nothing is left."""
    if not first:
        return ByteRange(max(size - _number(last), 0), size)
    return ByteRange(_number(first), min(_number(last) + 1, size) if last else size)


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def _join(asked: Sequence[ByteRange]) -> tuple[ByteRange, ...]:
    """Unite what overlaps or touches; each union stands where the first of its members was asked for."""
    unions: list[tuple[int, ByteRange]] = []
    for place, span in sorted(enumerate(asked), key=lambda item: item[1]):
        if unions and span.start <= unions[-1][1].stop:
            first, union = unions[-1]
            unions[-1] = min(first, place), ByteRange(union.start, max(union.stop, span.stop))
        else:
            unions.append((place, span))
    return tuple(union for _, union in sorted(unions))
