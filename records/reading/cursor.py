"""Opaque page cursors and change tokens: sealed for one kind, owner, list and caller; nothing in them can be read.

A token is the URL-safe base64, unpadded, of a random nonce (12 bytes) and the payload in MessagePack under
ChaCha20-Poly1305. What it is bound to is the associated data: it is not in the token and must be known to open it.
Only the length shows: the payload is padded to a multiple of `PADDING`, for how long it is may tell of what is hidden.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from records.errors import InvalidCursor

T = TypeVar("T")

MAX_LENGTH = 28 << 10
"""Characters of a token; a longer one is refused unread. The longest session's fits, and fits into a request line."""

PADDING = 256
"""Bytes: a version that grows, or the value of a field that orders the list, must not make a token longer."""

_NONCE = 12
_END = b"\x01"  # padding follows
_VERSION = 1


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

    def associated_data(self) -> bytes:
        """Equal exactly for equal bindings."""
        parts = (_VERSION, self.kind, self.owner, self.stream, self.order, self.scope, sorted(self.filters))
        return msgspec.msgpack.encode(parts)


def seal(key: bytes, binding: Binding, payload: object) -> str:
    """A token that only the same key and an equal binding open. `payload`: anything that msgspec encodes."""
    nonce = os.urandom(_NONCE)
    text = msgspec.msgpack.encode(payload) + _END
    text += bytes(-len(text) % PADDING)
    sealed = ChaCha20Poly1305(key).encrypt(nonce, text, binding.associated_data())
    return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()


def unseal(key: bytes, binding: Binding, token: str, payload: type[T], param: str = "cursor") -> T:
    """The payload. Raises `InvalidCursor` for whatever `seal` did not make for this binding, whatever its form.

    `param` is the parameter that the token came in.
    """
    if len(token) > MAX_LENGTH:
        raise InvalidCursor(param)
    try:
        sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        # The last character has bits that do not count: a token must be the one spelling of its bytes.
        if urlsafe_b64encode(sealed).rstrip(b"=").decode() != token:
            raise InvalidCursor(param)
        text = ChaCha20Poly1305(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], binding.associated_data())
        return msgspec.msgpack.decode(text.rstrip(b"\0").removesuffix(_END), type=payload)
    except (ValueError, InvalidTag):
        raise InvalidCursor(param) from None
