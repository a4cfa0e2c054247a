"""Digests: what names a blob (BLAKE3-256) and what the wire carries beside it (SHA-256), computed in one pass."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

import msgspec
from blake3 import blake3

from blobstore.errors import InvalidBlobId

PREFIX = "blob_b3_"
SHA256_PREFIX = "blob_sha256_"
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class Digest(msgspec.Struct, frozen=True, order=True):
    """The BLAKE3-256 digest of a blob's bytes; `str()` gives the blob id `blob_b3_<64 lower-case hex>`."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.match(self.hex):
            raise InvalidBlobId("a digest is 64 lower-case hexadecimal digits")

    @classmethod
    def parse(cls, blob_id: str) -> Self:
        """Read a blob id. Raises `InvalidBlobId` for anything else, whatever its length or characters."""
        if not blob_id.startswith(PREFIX):
            raise InvalidBlobId("a blob id starts with " + PREFIX)
        return cls(blob_id[len(PREFIX) :])

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Take the 32 raw bytes."""
        return cls(raw.hex())

    @property
    def raw(self) -> bytes:
        """The 32 bytes."""
        return bytes.fromhex(self.hex)

    def __str__(self) -> str:
        return PREFIX + self.hex


def parse_sha256_alias(blob_id: str) -> bytes:
    """The 32 bytes of `blob_sha256_<64 lower-case hex>`. Raises `InvalidBlobId` for anything else."""
    if not blob_id.startswith(SHA256_PREFIX) or not _HEX.match(blob_id[len(SHA256_PREFIX) :]):
        raise InvalidBlobId("not a blob id")
    return bytes.fromhex(blob_id[len(SHA256_PREFIX) :])


def derive(context: str, material: bytes, length: int = 32) -> bytes:
    """`length` bytes that stand for the material in this context only (BLAKE3's derive_key mode).

    `context` is a constant of the program, one per purpose. With a secret in the material the result is a key.
    """
    return blake3(material, derive_key_context=context, max_threads=1).digest(length)


@dataclass(frozen=True, slots=True)
class Content:
    """What one pass over a byte sequence found: its two digests and its length in bytes."""

    digest: Digest
    sha256: bytes
    size: int


class Hasher:
    """Both digests and the length, in one pass. `update` releases the GIL; call it with large buffers, off the loop."""

    def __init__(self) -> None:
        # One thread: AUTO slows updates below some MiB down, and other uploads need the other cores.
        self._blake3 = blake3(max_threads=1)
        self._sha256 = hashlib.sha256()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes seen so far."""
        return self._size

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self._blake3.update(data)
        self._sha256.update(data)
        self._size += len(data)

    def copy(self) -> "Hasher":
        """Another one that has seen the same."""
        other = Hasher()
        other._blake3, other._sha256, other._size = self._blake3.copy(), self._sha256.copy(), self._size
        return other

    def finish(self) -> Content:
        """What was seen up to now; more may follow."""
        return Content(Digest.from_bytes(self._blake3.digest()), self._sha256.digest(), self._size)
