"""Bytes of the reference's file, read in pieces and held against their digest before the last of them is given out."""

import hashlib
import io
import sqlite3
from io import BufferedReader

from blobstore.client.content import Opener
from tools.pdpp.file import BlobRow, ReferenceFile

BUFFER = 1 << 20


class DamagedError(Exception):
    """The bytes in the file are not those that their digest names; nothing of them is kept."""


def content(file: ReferenceFile, blob: BlobRow) -> Opener:
    """What opens the bytes; reading them to their end raises `DamagedError` where they are not what they should be."""
    return lambda: BufferedReader(_Bytes(*file.reading(blob), blob), BUFFER)


class _Bytes(io.RawIOBase):
    def __init__(self, db: sqlite3.Connection, data: sqlite3.Blob, expected: BlobRow) -> None:
        self._db = db
        self._data = data
        self._expected = expected
        self._digest = hashlib.sha256()
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: "memoryview | bytearray") -> int:  # type: ignore[override]
        """The next bytes; what is left of one read is small, so that memory stays small."""
        try:
            piece = self._data.read(len(into))
        except sqlite3.Error as error:
            raise DamagedError(f"the file cannot be read there: {error}") from None
        self._digest.update(piece)
        self._size += len(piece)
        if len(piece) < len(into) or self._size >= self._expected.size:
            self._require_whole(self._size)
        into[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._data.close()
            self._db.close()
        super().close()

    def _require_whole(self, size: int) -> None:
        if size != self._expected.size or self._digest.digest() != self._expected.sha256:
            raise DamagedError("the bytes are not what their SHA-256 says")
