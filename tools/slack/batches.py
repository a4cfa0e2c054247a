"""Cuts a stream of objects into batches whose edges stay where they are when objects are added elsewhere.

A batch ends after an object whose own bytes say so, or when it is full. So a message that is new or edited changes the
batch it stands in and perhaps the next few, not all that follow, and an unchanged batch is known again by its digest.
"""

import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_ITEMS = 500
MAX_BYTES = 4 << 20

_EDGE = 512
"""One object in so many ends its batch: with the limit of 500, a batch has about 320."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Items to be sent together, and the digest that knows them again."""

    items: Sequence[T]
    digest: str


def short_digest(*parts: bytes) -> str:
    """96 bits over the parts and where they end, in 16 characters: tells versions apart, proves nothing."""
    state = blake2b(digest_size=12)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return urlsafe_b64encode(state.digest()).decode()


def cut(items: Iterable[tuple[bytes, T]]) -> Iterator[Batch[T]]:
    """Batches of at most `MAX_ITEMS`, of at most `MAX_BYTES` together; a larger item is a batch of its own.

    Each item comes with the bytes that stand for it: they make the edges and the digest.
    """
    held: list[tuple[bytes, T]] = []
    size = 0
    for form, item in items:
        if held and size + len(form) > MAX_BYTES:
            yield _batch(held)
            held, size = [], 0
        held.append((form, item))
        size += len(form)
        if len(held) == MAX_ITEMS or zlib.crc32(form) % _EDGE == 0:
            yield _batch(held)
            held, size = [], 0
    if held:
        yield _batch(held)


def _batch(held: list[tuple[bytes, T]]) -> Batch[T]:
    return Batch([item for _, item in held], short_digest(*(form for form, _ in held)))
