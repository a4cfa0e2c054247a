"""Conditional requests (RFC 9110 §13) for bytes that have a strong entity tag and no modification date. No I/O.

| step (§13.2.2) | header | when it does not hold |
|---|---|---|
| 1 | `If-Match`: strong comparison | 412 |
| 3 | `If-None-Match`: weak comparison | 304 |
| 5 | `If-Range`: strong comparison | `Range` is ignored |

Steps 2 and 4 look at modification dates, and so does an `If-Range` with a date: we send none, so the first two are
ignored and the last never matches. A header that is not a list of tags matches nothing.
"""

import re
from enum import Enum, auto

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\U0010ffff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_ONE = re.compile(_TAG)


class Verdict(Enum):
    """What the preconditions of a GET or HEAD come to."""

    PROCEED = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


def judge(etag: str, if_match: str | None, if_none_match: str | None) -> Verdict:
    """Evaluate the preconditions against a strong tag that exists. Several header lines come joined by commas."""
    if if_match is not None and if_match.strip() != "*" and etag not in _tags(if_match):
        return Verdict.FAILED
    if if_none_match is not None and (
        if_none_match.strip() == "*" or etag in {tag.removeprefix("W/") for tag in _tags(if_none_match)}
    ):
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def range_applies(etag: str, if_range: str | None) -> bool:
    """Whether `Range` may be honoured."""
    return if_range is None or if_range.strip() == etag


def _tags(header: str) -> list[str]:
    return _ONE.findall(header) if _TAGS.fullmatch(header) else []
