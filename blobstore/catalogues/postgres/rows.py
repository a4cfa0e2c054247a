"""Rows of the catalogue as values, and the columns that they are read from."""

from typing import Any

from blobstore.backend import ObjectName
from blobstore.catalogue import Claim, ClaimedBlob, Condemned, Holder, Lease, State, Stored
from blobstore.digest import Content, Digest

STORED = "namespace, digest, generation, place, sha256, size, state, verified_at, kept_until, late_until"
LEASE = "id, namespace, holder, scope, process, expires_at, digest, sha256, size, reserved, slot, place, copies"
CLAIM = "digest, holder, scope, slot, media_type, expires_at"
HOLDER = "digest, holder, version, confirmed"
CONDEMNED = "namespace, digest, generation, place, size, reason, process, condemned_seq, late_until"


def of(prefix: str, columns: str) -> str:
    """The columns of one of several tables."""
    return ", ".join(f"{prefix}.{column}" for column in columns.split(", "))


def name(namespace: str, digest: bytes, generation: str, place: int = 0) -> ObjectName:
    """An object name from its columns."""
    return ObjectName(namespace, Digest.from_bytes(digest), generation, place)


def stored(row: Any) -> Stored:
    """A row of `STORED`."""
    namespace, digest, generation, place, sha256, size, state, *times = row
    return Stored(name(namespace, digest, generation, place), sha256, size, State(state), *times)


def lease(row: Any) -> Lease:
    """A row of `LEASE`."""
    id, namespace, holder, scope, process, expires_at, digest, sha256, size, reserved, slot, *rest = row
    content = None if digest is None else Content(Digest.from_bytes(digest), sha256, size)
    texts = (holder.decode(), scope.decode(), process)
    return Lease(id, namespace, *texts, expires_at, content, reserved, slot.decode(), *rest)


def claimed(row: Any) -> ClaimedBlob:
    """A row of `CLAIM`."""
    digest, holder, scope, slot, media_type, expires_at = row
    claim = Claim(holder.decode(), scope.decode(), slot.decode(), media_type.decode(), expires_at)
    return ClaimedBlob(Digest.from_bytes(digest), claim)


def to_holder(row: Any) -> Holder:
    """A row of `HOLDER`."""
    digest, who, version, confirmed = row
    return Holder(Digest.from_bytes(digest), who.decode(), version, confirmed)


def condemned(row: Any) -> Condemned:
    """A row of `CONDEMNED`."""
    namespace, digest, generation, place, size, *rest = row
    return Condemned(name(namespace, digest, generation, place), size, *rest)


def beyond(beginning: bytes) -> bytes | None:
    """The first bytes that are beyond all UTF-8 that begins so; None where nothing is."""
    return beginning[:-1] + bytes([beginning[-1] + 1]) if beginning else None  # no byte of UTF-8 is 0xFF
