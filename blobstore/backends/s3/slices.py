"""A part of a staged file as a stream: what is sent is read from the disk as it goes, and never held in memory."""

import io
import os
from typing import Self


class Slice(io.RawIOBase):
    """`length` bytes of an open file from an offset on. Seekable, for a request that is signed, or sent again."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._length = length
        self._at = 0

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._length - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        piece = os.pread(self._descriptor, wanted, self._offset + self._at)
        self._at += len(piece)
        return piece

    def __enter__(self) -> Self:
        return self
