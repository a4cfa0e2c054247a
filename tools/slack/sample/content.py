"""Made-up bytes: deterministic, of any size, streamed, and what their type says to who looks at them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tools.slack.sample.media import around

_BLOCK = 64 * 1024

_STARTS = {
    "zip": b"PK\x03\x04\x14\x00\x00\x00\x00\x00",
    "text": b"",
    "html": b"<!DOCTYPE html>\n<html><head><title>Minutes</title></head><body>\n",
    "sign-in": b'<!DOCTYPE html>\n<html lang="en"><head><title>Sign in to Sample | Slack</title></head><body>\n',
}
_READABLE = frozenset({"text", "html", "sign-in"})


@dataclass(frozen=True, slots=True)
class Content:
    """`size` bytes of a kind (`png`, `pdf`, `mp4`, `text`, `html`, `sign-in` …); another seed, other bytes."""

    kind: str
    seed: str
    size: int

    def pieces(self) -> Iterator[bytes]:
        """The bytes; the same at each call."""
        start, end = (_STARTS[self.kind], b"") if self.kind in _STARTS else around(self.kind, self.seed, self.size)
        left, number = self.size - len(start) - len(end), 0
        if left < 0:
            start, end, left = (start + end)[: self.size], b"", 0
        if start:
            yield start
        while left > 0:
            piece = self._block(number)[:left]
            yield piece
            left -= len(piece)
            number += 1
        if end:
            yield end

    def _block(self, number: int) -> bytes:
        name = f"{self.kind}/{self.seed}/{number}".encode()
        if self.kind not in _READABLE:
            return hashlib.shake_128(name).digest(_BLOCK)
        words = hashlib.blake2b(name, digest_size=16).hexdigest()
        return (f"{self.seed} {number}: {words[:7]} {words[7:12]} {words[12:21]} {words[21:]}\n").encode() * 16

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()
