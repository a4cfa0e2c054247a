"""Made-up bytes: deterministic, of any size, streamed, and starting as their type starts."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = 64 * 1024

_STARTS = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x80\x00\x00\x01\xe0\x08\x02\x00\x00\x00",
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00",
    "pdf": b"%PDF-1.5\n%\xbf\xf7\xa2\xfe\n",
    "mp4": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom\x00\x00\x00\x08free",
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
        start = _STARTS[self.kind][: self.size]
        if start:
            yield start
        left, number = self.size - len(start), 0
        while left > 0:
            piece = self._block(number)[:left]
            yield piece
            left -= len(piece)
            number += 1

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
