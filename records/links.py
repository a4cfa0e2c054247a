"""Blob references in a record's data: where they stand, what they name, and the `fetch_url` that readers get.

A reference is an object, at any depth and under any name, whose `blob_id` is the id of a blob (`blob_b3_<64 hex>`) or
its alias (`blob_sha256_<64 hex>`). Under the member name `blob_ref` an object must be a reference.
"""

from dataclasses import dataclass

from blobstore.digest import Digest
from records.model import Link

DEFAULT_MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A reference as found. `digest` is None for the SHA-256 alias, which the caller has to resolve."""

    pointer: str
    blob_id: str
    media_type: str
    filename: str | None

    @property
    def digest(self) -> Digest | None:
        """The blob, unless it is named by its alias."""
        raise NotImplementedError

    @property
    def sha256(self) -> bytes | None:
        """The 32 bytes of the alias, unless it is named by its own id."""
        raise NotImplementedError

    def link(self, digest: Digest) -> Link:
        """The link that this reference becomes, once its blob is known."""
        raise NotImplementedError


def find(data: object) -> list[BlobRef]:
    """All references in decoded data, in the order in which they stand.

    Raises `Invalid`: `blob_not_stored` for a `blob_ref` object that is no reference, `invalid_record` for a
    `mime_type` that is no media type.
    """
    raise NotImplementedError


def may_hold(raw: bytes, member: bytes) -> bool:
    """Whether JSON text may have a member of this name; false only when it surely has none."""
    raise NotImplementedError


def with_fetch_urls(data: object) -> object:
    """The data with `"fetch_url": "/v1/blobs/<blob_id>"` in each reference; the argument stays as it is."""
    raise NotImplementedError


def without_fetch_urls(data: object) -> object:
    """The data with no `fetch_url` in any reference; the argument stays as it is, and is given back if it had none."""
    raise NotImplementedError


def top_field(pointer: str) -> str:
    """The top-level field of the data that holds the reference at this pointer: what a grant must name."""
    raise NotImplementedError


def media_type(text: str) -> str:
    """`type/subtype` in lower case, parameters dropped. Raises `Invalid` (`invalid_request`, `mime_type`)."""
    raise NotImplementedError
