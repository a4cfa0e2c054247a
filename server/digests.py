"""`Repr-Digest` and `Content-Digest` (RFC 9530): what the sender says of the bytes, and what we say. No I/O."""

import base64
from collections.abc import Sequence

import http_sf

_ALGORITHM = "sha-256"
_LENGTH = 32


class MalformedDigest(ValueError):
    """The header is not a structured dictionary, or its SHA-256 is none."""


def parse_digest(lines: Sequence[str]) -> bytes | None:
    """The SHA-256 that one such header field declares; None where it is absent or names other algorithms only.

    Raises `MalformedDigest`.
    """
    if not lines:
        return None
    try:
        members = http_sf.parse(", ".join(lines).encode("utf-8", "surrogateescape"), tltype="dictionary")
    except http_sf.StructuredFieldError as error:
        raise MalformedDigest(str(error)) from None
    if not isinstance(members, dict) or _ALGORITHM not in members:
        return None
    item = members[_ALGORITHM]
    digest = item[0] if isinstance(item, tuple) else None
    if not isinstance(digest, bytes) or len(digest) != _LENGTH:
        raise MalformedDigest(f"a SHA-256 is a byte sequence (:base64:) of {_LENGTH} bytes")
    return digest


def repr_digest(sha256: bytes) -> str:
    """The value of `Repr-Digest` for these 32 bytes."""
    return f"{_ALGORITHM}=:{base64.b64encode(sha256).decode()}:"
