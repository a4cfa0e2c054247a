"""What was made of a blob, a thumbnail for one, and may be made of it again: kept beside it for as long as it is there.

It is sealed under a key of its own. To make it unreadable is to make the key unreadable: keys are short, so the table
that has them is written anew at each erasure, and the large one beside it need not be.
"""

import os
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MOST = 8192
"""So many of a namespace are kept; beyond that the oldest goes, and is made again when somebody asks."""

_NONCE = bytes(12)  # a key seals once


@dataclass(frozen=True, slots=True)
class Derived:
    """Something made of a blob; `kind` says what, and by which version of the way to make it."""

    kind: str
    key: bytes
    sealed: bytes

    @classmethod
    def seal(cls, kind: str, data: bytes) -> Self:
        """Seal it under a new key."""
        key = os.urandom(32)
        return cls(kind, key, ChaCha20Poly1305(key).encrypt(_NONCE, data, kind.encode()))

    def data(self) -> bytes | None:
        """What was sealed; None where it is not whole any more."""
        try:
            return ChaCha20Poly1305(self.key).decrypt(_NONCE, self.sealed, self.kind.encode())
        except (InvalidTag, ValueError):
            return None
