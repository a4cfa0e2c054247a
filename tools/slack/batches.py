"""Cuts a stream of lines into batches whose edges stay where they are when lines are added elsewhere.

A batch ends after a line whose own bytes say so, or when it is full. So a message that is new or edited changes the
batch it stands in and perhaps the next few, not all that follow, and an unchanged batch is known again by its digest.
"""

import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

MAX_LINES = 500
MAX_BYTES = 4 << 20

_EDGE = 512
"""One line in so many ends its batch: with the limit of 500, a batch has about 320 lines."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to be sent together, and the digest that knows them again."""

    lines: Sequence[bytes]
    digest: str


def short_digest(*parts: bytes) -> str:
    """96 bits over the parts and where they end, in 16 characters: tells versions apart, proves nothing."""
    state = blake2b(digest_size=12)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return urlsafe_b64encode(state.digest()).decode()


def cut(lines: Iterable[bytes]) -> Iterator[Batch]:
    """Batches of at most `MAX_LINES` lines and `MAX_BYTES` bytes; a longer line is a batch of its own."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and size + len(line) > MAX_BYTES:
            yield _batch(held)
            held, size = [], 0
        held.append(line)
        size += len(line) + 1
        if len(held) == MAX_LINES or zlib.crc32(line) % _EDGE == 0:
            yield _batch(held)
            held, size = [], 0
    if held:
        yield _batch(held)


def _batch(lines: list[bytes]) -> Batch:
    return Batch(lines, short_digest(*lines))
