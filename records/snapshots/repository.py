"""The folder that backups go into: snapshots by number, and the blobs that they share."""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

from blobstore.backend import ObjectName
from blobstore.backends.filesystem import FilesystemBackend
from blobstore.durable import make_folders, sync_folder, write_durably
from blobstore.errors import StorageUnavailable, WrongStore, translated
from blobstore.sqlite import sqlite3
from records.snapshots import manifest

BATCH = 500
"""Blobs in memory at a time."""

_NUMBER = re.compile(r"\d{6,}\Z")
_BEGUN = ".new"


class Repository:
    """A folder of snapshots, locked: one program at a time makes, drops or restores them. Every call blocks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = FilesystemBackend(root / "blobs")
        self._snapshots = root / "snapshots"
        self._staging = root / "staging"

    @classmethod
    @contextmanager
    def for_writing(cls, root: Path, store: str) -> Iterator["Repository"]:
        """The folder, made if need be, for snapshots of this store. Raises `WrongStore`, `StorageUnavailable`."""
        with translated(str(root)):
            make_folders(root)
            root.chmod(0o700)
        with _locked(root), translated(str(root)):
            if not (root / "store-id").exists():
                if any(entry.name not in ("lost+found", ".store-id.new") for entry in root.iterdir()):
                    raise WrongStore(f"{root} holds something else; give a folder that is empty, or not there")
                write_durably(root / "store-id", store.encode())
            elif (root / "store-id").read_text() != store:
                raise WrongStore(f"{root} has snapshots of another store")
            repository = cls(root)
            repository._clear()
            yield repository

    @classmethod
    @contextmanager
    def for_reading(cls, root: Path) -> Iterator["Repository"]:
        """A folder with snapshots in it. Raises `StorageUnavailable` where there are none."""
        if not (root / "snapshots").is_dir():
            raise StorageUnavailable(f"{root} is no backup: it has no snapshots")
        with _locked(root), translated(str(root)):
            yield cls(root)

    def numbers(self) -> list[int]:
        """The snapshots that are complete, oldest first."""
        return sorted(int(entry.name) for entry in self._snapshots.iterdir() if _NUMBER.match(entry.name))

    def folder(self, number: int) -> Path:
        """Where a snapshot lies."""
        return self._snapshots / f"{number:06}"

    def staged(self) -> Path:
        """A name for a file on its way into `blobs`."""
        return self._staging / secrets.token_hex(16)

    def begin(self) -> Path:
        """An empty folder for a snapshot that is being made: nobody takes it for one before `finish`."""
        folder = self._snapshots / _BEGUN
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "records").mkdir(mode=0o700, parents=True)
        folder.chmod(0o700)
        return folder

    def next_number(self) -> int:
        """The number that `finish` will give."""
        return max(self.numbers(), default=0) + 1

    def finish(self, folder: Path) -> int:
        """All of it is written and durable but its name: it is a snapshot from here on. Its number."""
        number = self.next_number()
        for inside in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
            sync_folder(inside)
        folder.rename(self.folder(number))
        sync_folder(self._snapshots)
        return number

    def drop(self, number: int) -> None:
        """Forget a snapshot; the blobs that it alone needed go with the next `sweep`."""
        gone = self._snapshots / f".old-{number}"
        self.folder(number).rename(gone)  # at once: half a snapshot must not look like one
        sync_folder(self._snapshots)
        shutil.rmtree(gone)

    def sweep(self) -> tuple[int, int]:
        """Remove blobs that no snapshot needs; how many, and their bytes. Memory does not grow with the blobs."""
        blobs = size = 0
        with closing(sqlite3.connect("")) as needed:  # a nameless database, on disk where it is large
            needed.execute("CREATE TABLE needed (name TEXT PRIMARY KEY) WITHOUT ROWID")
            for number in self.numbers():
                for page in manifest.pages(self.folder(number) / manifest.BLOBS, BATCH):
                    needed.executemany("INSERT OR IGNORE INTO needed VALUES (?)", [(_key(each.name),) for each in page])
            listing = self.blobs.list()
            while batch := list(islice(listing, BATCH)):
                ours = [entry for entry in batch if isinstance(entry, tuple)]  # what is foreign is nobody's to remove
                unneeded = [(name, length) for name, length in ours if not _is_in(needed, name)]
                self.blobs.remove([name for name, _ in unneeded])
                blobs, size = blobs + len(unneeded), size + sum(length for _, length in unneeded)
        return blobs, size

    def _clear(self) -> None:
        """Remove what a backup that died left behind, and have the folders that there must be."""
        shutil.rmtree(self._staging, ignore_errors=True)
        for folder in (self._staging, self._snapshots):
            folder.mkdir(mode=0o700, exist_ok=True)
        for entry in self._snapshots.iterdir():
            if entry.name.startswith("."):
                shutil.rmtree(entry)
        sync_folder(self.root)


def _key(name: ObjectName) -> str:
    return f"{name.namespace}/{name.digest.hex}.{name.generation}"


def _is_in(needed: sqlite3.Connection, name: ObjectName) -> bool:
    return needed.execute("SELECT 1 FROM needed WHERE name = ?", (_key(name),)).fetchone() is not None


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Raises `StorageUnavailable` while another program is at it."""
    with translated(str(root)):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network mounts know no locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageUnavailable(f"{root} is in use by another backup or restore") from None
        yield
    finally:
        os.close(descriptor)
