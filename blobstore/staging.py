"""Staging: where bytes wait, hashed as they come, until they are published or thrown away.

Each process has a folder of its own and holds a lock in it while it lives, so that what a dead process left behind is
known at once, without waiting for a lease to expire. Several machines may have staging folders of one store: each is a
*host* with a random id, with which the names of its processes begin. Of other hosts' processes nothing is known here:
what they leave ends when it expires.

An upload that outlives its process has a folder like one, *kept* by a note in it though nobody holds its lock: whoever
takes the lock goes on with it (`blobstore.resumable`). It ends when its lease does.
"""

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from blobstore.digest import Content, Hasher
from blobstore.durable import make_folders, sync_folder
from blobstore.errors import BlobError, translated
from blobstore.locked import file_lock

T = TypeVar("T")

Bytes = bytes | memoryview

ALIGNED = 4096

HOST = "host"
"""The file of a data directory that has the id of its host."""

_LOCK = "lock"
_STEP = 256 << 10
"""Bytes that both digests take in turn: so many stay in the cache of a core between the two."""
_HOST = re.compile(r"[0-9a-f]{16}")
_PROCESS = re.compile(r"([0-9a-f]{16}-)?[0-9a-f]{16}\Z")
"""Without a host: of before there were any."""
_LEASE = re.compile(r"[0-9a-f]{32}\Z")

ABOUT, UNCHECKED = ".about", ".unchecked"
"""Beside the bytes of a resumable upload: what it is, and from where on they are not to be relied on."""
ENDING, DONE = ".ending", ".done"
"""What is left of one whose bytes are about to be, or are, stored: no content, and for a while only."""
_NOTES = {ABOUT, ENDING, DONE}
_BESIDE = {ABOUT, UNCHECKED}


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


class Staging:
    """The staging folder of this process, beside those of others.

    Calls block, and raise `StorageUnavailable` or `OutOfSpace`.
    """

    def __init__(self, root: Path, process: str, lock: int) -> None:
        self._root = root
        self._lock: int | None = lock
        self.process = process
        """Of this process, among all that ever were on any host."""
        self.host = host_of(process)

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make this process's folder under `root`, durably, and lock it."""
        with translated("staging"):
            make_folders(root)
            # Under the common lock: a folder whose own lock is not taken yet must not look like a dead one.
            with file_lock(_registry(root)):
                process = f"{_host(root.with_name(HOST))}-{secrets.token_hex(8)}"
                descriptor = _make(root / process)
            # Before the first lease: after a power cut one without its folder would not be known to be over.
            sync_folder(root)
        return cls(root, process, descriptor)

    def process_of(self, lease: str) -> str:
        """In place of a process: the folder of an upload that outlives its processes.

        One that was made here when this directory was another host stays what it is.
        """
        ours = f"{self.host}-{lease[:16]}"
        if (self._root / ours).exists():
            return ours
        with translated("staging"):
            return next((path.name for path in self._root.glob(f"*-{lease[:16]}") if path.is_dir()), ours)

    def keep(self, process: str) -> int:
        """Make such a folder, durably; the descriptor that holds its lock. It is kept once there is a note in it."""
        with translated("staging"):
            with file_lock(_registry(self._root)):
                descriptor = _make(self._root / process)
            sync_folder(self._root)
        return descriptor

    def lock(self, process: str) -> int | None:
        """Take the lock of such a folder; None where another holds it. Raises `FileNotFoundError` where none is."""
        with translated("staging", FileNotFoundError):
            descriptor = os.open(self._root / process / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def path(self, process: str, lease: str) -> Path:
        """Where the bytes of such an upload are; what else there is of it has a suffix."""
        return self._root / process / lease

    def kept_bytes(self) -> int:
        """Bytes of all uploads here that outlive their processes."""
        kept = [folder for folder in self._processes() if _is_kept(folder)]
        return sum(_size(path) or 0 for folder in kept for path in _entries(folder) if _LEASE.match(path.name))

    def forget(self, before: float) -> None:
        """Remove what is left of resumable uploads that ended before then (UTC seconds)."""
        for folder in self._processes():
            for path in _entries(folder):
                if path.suffix in (ENDING, DONE) and _LEASE.match(path.stem):
                    with translated("staging", FileNotFoundError), suppress(FileNotFoundError):
                        if path.lstat().st_mtime < before:
                            path.unlink()

    def create(self, lease: str, *, direct: bool = False) -> StagedFile:
        """A new file for this lease, which must be committed already; `direct` as in `StagedFile`."""
        return StagedFile(self._root / self.process / lease, direct=direct)

    def nameless(self, opened: Callable[[Path], T]) -> T:
        """What `opened` makes of the path of a new, empty file that loses its name as soon as that returns."""
        path = self._root / self.process / secrets.token_hex(16)
        with translated("staging"):
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                return opened(path)
            finally:
                path.unlink(missing_ok=True)

    def remove(self, process: str, lease: str) -> None:
        """Remove one staged file of any process, and what is beside it. Absent is no error."""
        path = self._root / process / lease
        with translated("staging"):
            path.unlink(missing_ok=True)
            if process.endswith(f"-{lease[:16]}"):
                for suffix in _BESIDE:
                    path.with_suffix(suffix).unlink(missing_ok=True)

    def files(self) -> Iterator[tuple[str, str, int]]:
        """(process, lease, size) of every staged file of every process; what has no name of ours is left out.

        What is beside a file counts as one. Raises `StorageUnavailable` where a folder cannot be read.
        """
        for process in self._processes():
            for path in _entries(process):
                named = path.stem if path.suffix in _BESIDE else path.name
                if _LEASE.match(named) and (size := _size(path)) is not None:
                    yield process.name, named, size

    def foreign(self) -> Iterator[tuple[str, int]]:
        """(path below the staging folder, size) of everything that no process put there. Raises as `files` does."""
        processes = self._processes()
        strangers = [path for path in _entries(self._root) if path not in processes]
        for process in processes:
            strangers += [path for path in _entries(process) if path.name != _LOCK and not _is_ours(path)]
        for path in strangers:
            if (size := _size(path)) is not None:
                yield str(path.relative_to(self._root)), size

    def dead(self, named: Collection[str] = ()) -> list[str]:
        """Processes of this host that no longer live: those that left a folder, and of the named ones those without.

        Uploads that outlive their processes are among them when nothing but the folder is left.

        Give the processes of leases and pins: these are read first, and a process has a folder from before its first
        one until its end. So what is left of one whose folder somebody buried, or lost, is known to be over as well.
        Other hosts' processes are never among them.
        """
        with translated("staging"), file_lock(_registry(self._root)):
            folders = self._processes()
            others = [folder for folder in folders if folder.name != self.process]
            # In this order: who makes a folder that is kept lets go of its lock once there is a note in it.
            dead = [folder.name for folder in others if _is_free(folder) and not _is_kept(folder)]
        ours = {process for process in named if host_of(process) == self.host}
        return dead + sorted(ours - {folder.name for folder in folders})

    def bury(self, process: str) -> None:
        """Remove the folder of a dead process; what still lies in it keeps it for the next time. Absent is no error."""
        folder = self._root / process
        with translated("staging"), file_lock(_registry(self._root)), suppress(FileNotFoundError):
            if _is_free(folder) and [entry.name for entry in folder.iterdir()] in ([_LOCK], []):
                (folder / _LOCK).unlink(missing_ok=True)
                folder.rmdir()

    def close(self) -> None:
        """Give up this process's folder; where it cannot be removed it is a dead process's. Harmless when repeated."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            with suppress(BlobError):
                self.bury(self.process)

    def _processes(self) -> list[Path]:
        with translated("staging"):  # also where it is gone: no process would seem to live any more
            entries = sorted(self._root.iterdir())
        folders = (entry for entry in entries if _PROCESS.match(entry.name))
        return [entry for entry in folders if entry.is_dir() and not entry.is_symlink()]


def _make(folder: Path) -> int:
    """Make the folder of a process; the descriptor that holds its lock. Whoever calls has the common lock."""
    folder.mkdir()
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def is_lease(text: str) -> bool:
    """Whether it may be the id of a lease, and so the name of a file."""
    return bool(_LEASE.match(text))


def host_of(process: str) -> str:
    """The host that a process is, or was, on."""
    return process.partition("-")[0]


def host_there(directory: Path) -> str | None:
    """The host that a data directory is; None where none has made staging there, or it is a copy of another's."""
    path = directory / HOST
    try:
        id, _, inode = path.read_text().partition(" ")
        return id if _HOST.fullmatch(id) and inode == str(path.stat().st_ino) else None
    except FileNotFoundError:
        return None


def _host(path: Path) -> str:
    """The id of this host, made if need be. Whoever calls has the common lock.

    A copy of the file is none of ours: with another host's name we would take that one's living processes for dead.
    """
    if (there := host_there(path.parent)) is not None:
        return there
    id = secrets.token_hex(8)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with new.open("x") as file:
        file.write(f"{id} {os.fstat(file.fileno()).st_ino}")
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_folder(path.parent)
    return id


def _registry(root: Path) -> Path:
    return root.with_name(root.name + ".lock")


def _entries(folder: Path) -> list[Path]:
    """What is in the folder; nothing where it went meanwhile."""
    with translated("staging", FileNotFoundError), suppress(FileNotFoundError):
        return sorted(folder.iterdir())
    return []


def _size(path: Path) -> int | None:
    with translated("staging", FileNotFoundError), suppress(FileNotFoundError):
        return path.lstat().st_size
    return None


def _is_ours(path: Path) -> bool:
    return path.suffix in {"", UNCHECKED, *_NOTES} and bool(_LEASE.match(path.stem))


def _is_kept(folder: Path) -> bool:
    return any(path.suffix in _NOTES and _is_ours(path) for path in _entries(folder))


def _is_free(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
