"""Blobs in memory: the contract of `blobstore.backend` in its shortest form."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

from blobstore.backend import ForeignObject, ObjectName
from blobstore.errors import BlobNotFound
from blobstore.notes import Notes


class MemoryBackend:
    """Adapter of `blobstore.backend.Backend`."""

    threads = 8
    lacks: Sequence[str] = ()

    def __init__(self) -> None:
        self._objects: dict[ObjectName, bytes] = {}
        self._store_id: str | None = None
        self._lock = Lock()

    def bind(self, store_id: str) -> str:
        with self._lock:
            self._store_id = self._store_id or store_id
            return self._store_id

    def bound(self) -> str | None:
        return self._store_id

    def is_empty(self) -> bool:
        return not self._objects

    def publish(self, name: ObjectName, staged: Path) -> bool:
        data = staged.read_bytes()
        with self._lock:
            if name in self._objects:
                raise FileExistsError(name)
            self._objects[name] = data
        return False

    def comes_late(self, name: ObjectName) -> bool:
        return False

    def open(self, name: ObjectName) -> "MemoryReader":
        data = self._objects.get(name)
        if data is None:
            raise BlobNotFound(str(name.digest))
        return MemoryReader(data)

    def size(self, name: ObjectName) -> int | None:
        data = self._objects.get(name)
        return None if data is None else len(data)

    def remove(self, names: Sequence[ObjectName]) -> None:
        for name in names:
            self._objects.pop(name, None)

    def left(self, names: Sequence[ObjectName]) -> list[ObjectName]:
        return [name for name in names if name in self._objects]

    def list(self) -> Iterator[tuple[ObjectName, int] | ForeignObject]:
        yield from [(name, len(data)) for name, data in self._objects.copy().items()]

    def notes(self) -> Sequence[Notes | None]:
        return [None]

    def close(self) -> None:
        pass


class MemoryReader:
    """Adapter of `blobstore.backend.Reader`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def fileno(self) -> None:
        return None

    def path(self) -> None:
        return None

    def link(self, seconds: int, media_type: str, disposition: str) -> None:
        return None

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryNotes:
    """Adapter of `blobstore.notes.Notes`."""

    exclusive = True

    def __init__(self, where: str = "memory") -> None:
        self.where = where
        self._notes: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self._notes.get(name)

    def create(self, name: str, data: bytes) -> bool:
        return self._notes.setdefault(name, data) is data

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        return iter(sorted(name for name in self._notes if name.startswith(folder) and name > after))
