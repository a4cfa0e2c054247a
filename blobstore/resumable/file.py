"""The bytes of a resumable upload, gone on with."""

import os
from pathlib import Path
from typing import Protocol

from blobstore.digest import Content, Hasher
from blobstore.errors import translated
from blobstore.staged import ALIGNED, Bytes, StagedFile

_STEP = 1 << 20


class Sum(Protocol):
    """A checksum, as hashlib makes them."""

    def update(self, data: Bytes, /) -> None:
        """Take the next bytes."""

    def digest(self) -> bytes:
        """Of all that were taken."""
        ...


class ResumedFile(StagedFile):
    """As a file that was just begun, from `offset` on: what lies beyond is dropped.

    `hasher` has seen a beginning of it. Where that is all there is it sees what comes, too; else it sees the rest when
    all has come, which is read again for that. `also` sees what comes. `direct` as in `StagedFile`.
    """

    def __init__(
        self, path: Path, offset: int, hasher: Hasher, also: Sum | None = None, *, direct: bool = False
    ) -> None:
        # Not as StagedFile does: the file is there.
        self.path = path
        self._hasher = hasher
        self._waiting: list[Bytes] = []
        self._also = also
        with translated("staging"):
            path.chmod(0o600)  # who began to put it in place, and did not end, took that away
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                if self._cut(offset):  # durably, before anybody forgets that what lay there was not to be relied on
                    os.fsync(self._descriptor)
            except BaseException:
                self.discard()
                raise
            if direct and offset % ALIGNED == 0:
                self._set_direct(True)
        self._follows = hasher.size == offset

    @property
    def end(self) -> int:
        """How many bytes are in the file."""
        assert self._descriptor is not None
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def hash(self, data: Bytes) -> None:
        if self._also is not None:
            self._also.update(data)
        if self._follows:
            super().hash(data)

    def content(self) -> Content:
        """Reads what was not hashed yet."""
        assert self._descriptor is not None
        with translated("staging"):
            self._set_direct(False)  # such reading would want aligned memory
            while piece := os.pread(self._descriptor, _STEP, self._hasher.size):
                super().hash(piece)
        return self._hasher.finish()

    def hashed(self) -> Hasher | None:
        """What has seen a beginning of the file, to go on with it another time; None where it has seen more."""
        if self._descriptor is None:
            return None
        return self._hasher if self._hasher.size <= self.end else None

    def cut(self, offset: int, hasher: Hasher) -> None:
        """Drop, durably, what lies beyond; `hasher` has not seen it."""
        assert self._descriptor is not None
        with translated("staging"):
            self._cut(offset)
            os.fsync(self._descriptor)
        self._hasher, self._follows = hasher, hasher.size == offset

    def discard(self) -> None:
        """Let go of the file, which stays: it goes when all that its bytes were needed for is done."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _cut(self, offset: int) -> bool:
        """Whether anything lay beyond."""
        assert self._descriptor is not None
        there = os.fstat(self._descriptor).st_size > offset
        if there:
            os.ftruncate(self._descriptor, offset)
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return there
