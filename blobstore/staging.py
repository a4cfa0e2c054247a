"""Staging: where bytes wait (`staged`) until they are published or thrown away.

Each process has a folder of its own and holds a lock in it while it lives, so that what a dead process left behind is
known at once, without waiting for a lease to expire. Several machines may have staging folders of one store: each is a
*host* with a random id, with which the names of its processes begin. Of other hosts' processes nothing is known here:
what they leave ends when it expires.

An upload that outlives its process has a folder like one, *kept* by a note in it though nobody holds its lock: whoever
takes the lock goes on with it (`blobstore.resumable`). It ends when its lease does.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from blobstore.durable import make_folders, sync_folder
from blobstore.errors import BlobError, translated
from blobstore.locked import file_lock
from blobstore.staged import StagedFile

T = TypeVar("T")

HOST = "host"
"""The file of a data directory that has the id of its host."""

_LOCK = "lock"
_HOST = re.compile(r"[0-9a-f]{16}")
_PROCESS = re.compile(r"([0-9a-f]{16}-)?[0-9a-f]{16}\Z")
"""Without a host: of before there were any."""
_LEASE = re.compile(r"[0-9a-f]{32}\Z")

ABOUT, UNCHECKED = ".about", ".unchecked"
"""Beside the bytes of a resumable upload: what it is, and from where on they are not to be relied on."""
ENDING, DONE = ".ending", ".done"
"""What is left of one whose bytes are about to be, or are, stored: no content, and for a while only."""
WRITING = ".writing"
"""A note that is being written."""
_NOTES = {ABOUT, ENDING, DONE}
_BESIDE = {ABOUT, UNCHECKED, WRITING}


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

    def process_for(self, lease: str) -> str:
        """In place of a process: the folder of an upload that begins here, and is to outlive its processes."""
        return f"{self.host}-{lease[:16]}"

    def process_of(self, lease: str) -> str:
        """The same of one that was begun before.

        One that was made here when this directory was another host stays what it is: it is searched for among all.
        """
        ours = self.process_for(lease)
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
    return path.suffix in {"", *_BESIDE, *_NOTES} and bool(_LEASE.match(path.stem))


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
