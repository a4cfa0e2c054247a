"""One file in staging: bytes as they come, hashed and written."""

import errno
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from blobstore.digest import Content, Hasher
from blobstore.errors import translated

Bytes = bytes | memoryview

ALIGNED = 4096

_STEP = 256 << 10
"""Bytes that both digests take in turn: so many stay in the cache of a core between the two."""


class StagedFile:
    """One file being received. Every method blocks; one thread may hash while another writes, and no more be in it.

    `direct`: bytes go to the disk past the cache of the system where that can be: for large files, which would only be
    copied once more and push others out. What is written then is aligned in memory to `ALIGNED` bytes and, but for the
    end, as long as a multiple of them.
    """

    def __init__(self, path: Path, *, direct: bool = False) -> None:
        self.path = path
        self._hasher = Hasher()
        self._waiting: list[Bytes] = []
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with translated("staging"):
            self._descriptor: int | None = os.open(path, flags, 0o600)
            if direct:
                self._set_direct(True)

    @property
    def size(self) -> int:
        """Bytes hashed so far."""
        return self._hasher.size

    def hash(self, data: Bytes) -> None:
        """Take the next bytes into the digests. Touches no disk."""
        for start in range(0, len(data), _STEP):
            self._hasher.update(memoryview(data)[start : start + _STEP])

    def write(self, data: Bytes) -> None:
        """Write the next bytes. Raises `OutOfSpace` or `StorageUnavailable`: the file is useless then."""
        assert self._descriptor is not None
        view = memoryview(data)
        with translated("staging"):
            if len(view) % ALIGNED:
                self._set_direct(False)
            while view:
                try:
                    view = view[os.write(self._descriptor, view) :]
                except OSError as error:
                    if error.errno != errno.EINVAL or not self._set_direct(False):
                        raise

    def take(self, data: Bytes) -> None:
        """Hash the next bytes now, and write them when the file is made durable. They are not to be changed."""
        self.hash(data)
        self._waiting.append(data)

    def append(self, pieces: Sequence[Bytes]) -> None:
        """Hash and write the pieces, in order. Raises as `write`."""
        for piece in pieces:
            self.hash(piece)
            self.write(piece)

    def content(self) -> Content:
        """What the bytes are that were hashed so far."""
        return self._hasher.finish()

    def sync(self) -> None:
        """Make the bytes durable. A failed fsync is final: the kernel may have dropped pages."""
        assert self._descriptor is not None
        while self._waiting:
            self.write(self._waiting.pop(0))
        with translated("staging"):
            os.fsync(self._descriptor)

    def seal(self) -> Content:
        """Both: what the bytes are, which are durable then."""
        self.sync()
        return self.content()

    def _set_direct(self, wanted: bool) -> bool:
        """Whether that is another way than before. Where there is no such way the file system says `EINVAL`."""
        assert self._descriptor is not None
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        if bool(flags & os.O_DIRECT) == wanted:
            return False
        with suppress(OSError):
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags ^ os.O_DIRECT)
        return True

    def discard(self) -> None:
        """Close and remove the file. Harmless after publishing, and when called twice."""
        descriptor, self._descriptor = self._descriptor, None
        with translated("staging"):
            if descriptor is not None:
                os.close(descriptor)
            self.path.unlink(missing_ok=True)
