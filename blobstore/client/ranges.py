"""What headers say of a body that is read in parts (RFC 9110)."""

import re
from collections.abc import Mapping

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_NO_RANGE = re.compile(r"bytes \*/(\d{1,18})")


def content_range(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """At which byte a 206 begins, and how many the whole has; None where it does not say so."""
    told = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return (int(told[1]), int(told[3])) if told else None


def size_without(headers: Mapping[str, str]) -> int | None:
    """How many bytes the whole has, where a 416 says so."""
    told = _NO_RANGE.fullmatch(headers.get("Content-Range", ""))
    return int(told[1]) if told else None


def validator(headers: Mapping[str, str]) -> str | None:
    """What names these very bytes for `If-Range`, a strong ETag or else the date of change: a weak ETag does not."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def is_encoded(headers: Mapping[str, str]) -> bool:
    """The bytes are not those that were asked for, but a coding of them."""
    return headers.get("Content-Encoding", "identity").lower() != "identity"
