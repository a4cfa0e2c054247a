"""Whether bytes are those of a blob's id."""

import hashlib
from typing import Any, Self

from blake3 import blake3

from blobstore.client.errors import OtherBytes
from blobstore.digest import PREFIX, SHA256_PREFIX


class Check:
    """One pass over the bytes of a blob, from the first."""

    def __init__(self, blob_id: str, prefix: str, hashing: Any) -> None:
        self._blob_id = blob_id
        self._prefix = prefix
        self._hash = hashing

    @classmethod
    def of(cls, blob_id: str) -> Self | None:
        """None where the id is not made of a digest."""
        if blob_id.startswith(PREFIX):
            return cls(blob_id, PREFIX, blake3(max_threads=1))
        if blob_id.startswith(SHA256_PREFIX):
            return cls(blob_id, SHA256_PREFIX, hashlib.sha256())
        return None

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(piece)

    def end(self) -> None:
        """All have come. Raises `OtherBytes`."""
        found = self._prefix + self._hash.hexdigest()
        if found != self._blob_id:
            raise OtherBytes(f"the bytes of {self._blob_id} came as those of {found}: they were damaged on their way")
