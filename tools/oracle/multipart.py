"""Answers with several ranges: their boundary is random, all else is the same."""

import re

from tools.oracle.matching import Unlike
from tools.oracle.request import Answer

_FRAMED = re.compile(r"multipart/byteranges; boundary=([0-9a-f]{32})")


def framed(content_type: str) -> str | None:
    """The boundary; None where it is another type."""
    found = _FRAMED.fullmatch(content_type)
    return found[1] if found else None


def require_alike(ours: Answer, theirs: Answer) -> None:
    """Raise `Unlike` where the bodies differ in more than the boundary that the header names."""
    mine, other = (framed(answer.header("Content-Type") or "") for answer in (ours, theirs))
    if mine is None or other is None or ours.body.replace(mine.encode(), other.encode()) != theirs.body:
        raise Unlike("the parts differ")
