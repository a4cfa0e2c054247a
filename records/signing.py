"""Documents that somebody else keeps: signed with Ed25519 (RFC 8032), readable as they are, checked without the server.

A signed document is a JSON object whose member `signature` holds `algorithm`, `public_key` and `value` (both base64url
without padding, RFC 4648 section 5). Signed is `PREFIX` followed by the canonical JSON of the object without that
member: minified, members sorted, UTF-8. Documents hold strings, integers, booleans and null, so that every JSON library
makes the same bytes of them.
"""

import base64
from collections.abc import Mapping
from typing import Any, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from records import jsontext

PREFIX = b"blobstore 2026-11 signed document\n"
ALGORITHM = "Ed25519"
MEMBER = "signature"
MAX_SIZE = 16 << 20
"""Bytes of a signed document; longer ones are not looked at."""


class NotGenuine(ValueError):
    """The document is not what was signed, or not signed by whom it should be; the message says which."""


class _Signature(msgspec.Struct, forbid_unknown_fields=True):
    algorithm: str
    public_key: str
    value: str


class Signer:
    """Signs documents for one server."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 secret bytes; the same seed is the same key."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> str:
        """What whoever checks must know from elsewhere: base64url of the 32 bytes."""
        return _text(self._key.public_key().public_bytes_raw())

    def sign(self, document: Mapping[str, object]) -> dict[str, object]:
        """The document with its signature. Raises `ValueError` when it has one already."""
        if MEMBER in document:
            raise ValueError("the document is signed already")
        signature = _Signature(ALGORITHM, self.public_key, _text(self._key.sign(_signed(document))))
        return {**document, MEMBER: msgspec.to_builtins(signature)}


class SignedDocument:
    """A document whose signature fits it. `public_key` says whose that is: compare it with one from elsewhere."""

    def __init__(self, content: Mapping[str, Any], public_key: str) -> None:
        self.content = content
        self.public_key = public_key

    @classmethod
    def verify(cls, text: bytes, public_key: str | None = None) -> Self:
        """Check a document's text. Raises `NotGenuine`; also where `public_key` is given and signed it not."""
        document, signature = _parse(text)
        if public_key is not None and signature.public_key != public_key:
            raise NotGenuine(f"it was signed with another key: {signature.public_key}")
        try:
            key = Ed25519PublicKey.from_public_bytes(_bytes(signature.public_key))
            key.verify(_bytes(signature.value), _signed(document))
        except (InvalidSignature, ValueError) as error:
            raise NotGenuine("its signature does not fit: it was changed after it was signed") from error
        return cls(document, signature.public_key)


def _parse(text: bytes) -> tuple[dict[str, Any], _Signature]:
    if len(text) > MAX_SIZE:
        raise NotGenuine("it is too long to be a signed document")
    try:
        document = jsontext.decode(text)
        canonical = jsontext.canonical(document)
    except (ValueError, RecursionError) as error:
        raise NotGenuine("it is not JSON") from error
    if not isinstance(document, dict):
        raise NotGenuine("it is not a JSON object")
    if jsontext.has_duplicate_members(text, canonical):
        raise NotGenuine("a member stands in it twice")
    try:
        signature = msgspec.convert(document.pop(MEMBER, None), _Signature)
    except msgspec.ValidationError as error:
        raise NotGenuine("it has no signature") from error
    if signature.algorithm != ALGORITHM:
        raise NotGenuine("its signature is of an unknown kind")
    return document, signature


def _signed(document: Mapping[str, object]) -> bytes:
    return PREFIX + jsontext.canonical(document)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Raises `ValueError` for what `_text` never makes."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(raw) != text:
        raise ValueError("not base64url without padding")
    return raw
