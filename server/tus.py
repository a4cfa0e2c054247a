"""Headers of tus 1.0 (https://tus.io/protocols/resumable-upload): what they say, what is wrong with them. No I/O."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from multidict import CIMultiDictProxy

from blobstore.resumable.file import Sum
from records.errors import Invalid
from server.errors import PreconditionFailed

VERSION = "1.0.0"
OFFSET_OCTETS = "application/offset+octet-stream"
"""The type of a part."""

ALGORITHMS: Mapping[str, Callable[[], Sum]] = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}
"""Checksums of parts. What is stored is named by its own digest, whatever these say."""

_ID = re.compile(r"[0-9a-f]{32}\Z")
_KEY = re.compile(r"[!-+\--~]+\Z")  # visible ASCII but the comma

MAX_PARTS = 100
"""Uploads that are put together in one."""

Headers = CIMultiDictProxy[str]


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a part is said to have, and what makes it."""

    sum: Sum
    digest: bytes


def require_version(headers: Headers) -> None:
    """Raise `PreconditionFailed` unless this version is spoken."""
    if headers.getall("Tus-Resumable", []) != [VERSION]:
        raise PreconditionFailed(
            f"send Tus-Resumable: {VERSION}, the only version of tus here", headers={"Tus-Version": VERSION}
        )


def number(headers: Headers, name: str) -> int:
    """A header that is a whole number. Raises `Invalid` for anything else, and where it is missing."""
    text = one(headers, name)
    if text is None:
        raise Invalid(f"{name} is needed", param=name)
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Invalid(f"{name} must be a whole number", param=name)
    return int(text)


def one(headers: Headers, name: str) -> str | None:
    """A header that may be there once. Raises `Invalid` where it is there more often."""
    values = headers.getall(name, [])
    if len(values) > 1:
        raise Invalid(f"{name} is given more than once", param=name)
    return values[0].strip() if values else None


def metadata(text: str) -> dict[str, bytes]:
    """What `Upload-Metadata` says. Raises `Invalid`.

    >>> metadata("filename d29ybGQ=,empty")
    {'filename': b'world', 'empty': b''}
    """
    found: dict[str, bytes] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        key, _, value = pair.partition(" ")
        if not _KEY.match(key) or key in found:
            raise Invalid("Upload-Metadata has pairs of a key, in it once, and base64", param="Upload-Metadata")
        found[key] = _decoded(value, "Upload-Metadata")
    return found


def checksum(headers: Headers) -> Checksum | None:
    """What `Upload-Checksum` says. Raises `Invalid`, also for an algorithm that is not known here."""
    text = one(headers, "Upload-Checksum")
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise Invalid(f"Upload-Checksum takes one of {', '.join(ALGORITHMS)}", param="Upload-Checksum")
    return Checksum(ALGORITHMS[algorithm](), _decoded(value, "Upload-Checksum"))


def parts(headers: Headers) -> tuple[str, ...] | None:
    """The ids of the uploads that `Upload-Concat` puts together; empty for a part, None without it.

    Where they are is not looked at: all that counts is the end of their addresses. Raises `Invalid`.
    """
    text = one(headers, "Upload-Concat")
    if text is None or text == "partial":
        return None if text is None else ()
    kind, _, urls = text.partition(";")
    ids = tuple(url.partition("?")[0].rstrip("/").rpartition("/")[2] for url in urls.split())
    if kind != "final" or not ids or not all(map(_ID.match, ids)) or len(set(ids)) != len(ids):
        raise Invalid("Upload-Concat is `partial`, or `final;` and the addresses of parts", param="Upload-Concat")
    if len(ids) > MAX_PARTS:
        raise Invalid(f"Upload-Concat takes at most {MAX_PARTS} parts", param="Upload-Concat")
    return ids


def _decoded(value: str, name: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"{name} has a value that is not base64", param=name) from None
