"""Opaque page cursors and change tokens: sealed for one kind, owner, list and caller; nothing in them can be read.

A token is the URL-safe base64, unpadded, of a random nonce (12 bytes) and the payload in MessagePack under
ChaCha20-Poly1305. What it is bound to is the associated data: it is not in the token and must be known to open it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

MAX_LENGTH = 16_384
"""Characters of a token; a longer one is refused unread."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a token is good for. All of it must be the same when the token comes back.

    `kind` keeps page cursors (`page`) and change tokens apart. `filters` are the parameters that narrow the list, in
    any order. `scope` names what the caller may see: the grant, or the owner's token kind.
    """

    kind: str
    owner: str
    stream: str
    order: str
    scope: str
    filters: Collection[tuple[str, str]] = ()


def seal(key: bytes, binding: Binding, payload: object) -> str:
    """A token that only the same key and an equal binding open. `payload`: anything that msgspec encodes."""
    raise NotImplementedError


def unseal(key: bytes, binding: Binding, token: str, payload: type[T]) -> T:
    """The payload. Raises `InvalidCursor` for whatever `seal` did not make for this binding, whatever its form."""
    raise NotImplementedError
