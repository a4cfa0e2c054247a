"""What a GET or HEAD of bytes is answered with: status, headers and which bytes. No I/O."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from multidict import CIMultiDict, CIMultiDictProxy

from server.conditions import Verdict, judge, range_applies
from server.digests import repr_digest
from server.disposition import content_disposition
from server.errors import PreconditionFailed, RangeNotSatisfiable
from server.ranges import ByteRange, multipart, parse_range, unsatisfied

Body = tuple[bytes | ByteRange, ...]
"""What follows the headers: framing as it stands, and ranges of the stored bytes."""


@dataclass(frozen=True, slots=True)
class Representation:
    """Bytes as they are shown. `tag` is unique for them; it must be fit for a quoted string.

    `sha256` is None for what is made while it is sent.
    """

    tag: str
    sha256: bytes | None
    size: int
    media_type: str
    filename: str | None

    @property
    def etag(self) -> str:
        """The strong entity tag."""
        return f'"{self.tag}"'


@dataclass(frozen=True, slots=True)
class Answer:
    """A status line, headers and a body whose length is known before its first byte is read."""

    status: int
    headers: CIMultiDict[str]
    body: Body = ()

    @property
    def ranges(self) -> tuple[ByteRange, ...]:
        """The ranges of the bytes that are in it."""
        return tuple(part for part in self.body if isinstance(part, ByteRange))


def answer(method: str, asked: CIMultiDictProxy[str], what: Representation) -> Answer:
    """Decide by RFC 9110 §13.2.2: preconditions first, then ranges, which only a GET has.

    Raises `PreconditionFailed` (412), `RangeNotSatisfiable` (416).
    """
    match judge(what.etag, _joined(asked, "If-Match"), _joined(asked, "If-None-Match")):
        case Verdict.FAILED:
            raise PreconditionFailed("it has another entity tag than If-Match names", headers=_validators(what))
        case Verdict.NOT_MODIFIED:
            return Answer(304, CIMultiDict(_validators(what)))
    ranges = None
    if method == "GET" and range_applies(what.etag, _joined(asked, "If-Range")):
        ranges = parse_range(_joined(asked, "Range"), what.size)
    if ranges is None:
        return _answer(200, what, what.media_type, () if method == "HEAD" else (ByteRange(0, what.size),), what.size)
    if not ranges:
        headers = _validators(what) | {"Content-Range": unsatisfied(what.size)}
        raise RangeNotSatisfiable(f"it has {what.size} bytes; none of the ranges is in them", headers=headers)
    if len(ranges) == 1:
        partial = _answer(206, what, what.media_type, ranges, len(ranges[0]))
        partial.headers["Content-Range"] = ranges[0].content_range(what.size)
        return partial
    boundary = secrets.token_hex(16)
    body = multipart(ranges, what.size, what.media_type, boundary)
    return _answer(206, what, f"multipart/byteranges; boundary={boundary}", body, sum(map(len, body)))


def _answer(status: int, what: Representation, media_type: str, body: Sequence[bytes | ByteRange], size: int) -> Answer:
    headers = CIMultiDict(
        {
            "Content-Type": media_type,
            "Content-Length": str(size),
            **_validators(what),
            **({} if what.sha256 is None else {"Repr-Digest": repr_digest(what.sha256)}),
            "Content-Disposition": content_disposition(what.media_type, what.filename),
            # Attachments are hostile: never guessed at, never with the rights of this origin.
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
    )
    return Answer(status, headers, tuple(body))


def _validators(what: Representation) -> dict[str, str]:
    """What a 304, a 412 and a 416 carry too."""
    return {"ETag": what.etag, "Cache-Control": "private, no-store", "Accept-Ranges": "bytes"}


def _joined(asked: CIMultiDictProxy[str], name: str) -> str | None:
    """Several lines of one field mean the same as one line with commas (RFC 9110 §5.3)."""
    lines = asked.getall(name, None)
    return None if lines is None else ", ".join(lines)
