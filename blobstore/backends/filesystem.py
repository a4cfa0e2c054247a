"""Blobs as files: `<root>/<namespace>/<2 hex>/<2 hex>/<64 hex>.<generation>`, read-only, each durable with its name.

Below the root no symbolic link is ever followed: each step of a path is opened relative to the folder above it.
"""

import ctypes
import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import groupby, takewhile
from pathlib import Path

from blobstore import mark
from blobstore.backend import ForeignObject, ObjectName
from blobstore.digest import Digest
from blobstore.durable import sync_folder
from blobstore.errors import BlobNotFound, StorageUnavailable, translated
from blobstore.notes import Notes

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FAN_OUT = (re.compile(r"[a-z0-9]+\Z"), re.compile(r"[0-9a-f]{2}\Z"), re.compile(r"[0-9a-f]{2}\Z"))
_LEAF = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{32})\Z")

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NOT_REMOVABLE = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY}
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

_TRIES = 100
"""A collector may remove the still empty folder each time that a publisher has made it: arbitrary, but bounded."""

APART = 64
"""Files that are worth a thread of their own, side by side with others: to remove some is to wait for the disk."""

Steps = tuple[str, ...]
"""The names of the folders from the root down."""


class FilesystemBackend:
    """Adapter of `blobstore.backend.Backend` on one file system, which must hold the staged files too.

    The id of the store is in a file beside the root.
    """

    threads = 8
    lacks: Sequence[str] = ()

    def __init__(self, root: Path) -> None:
        """Use the folder `root`, made durably if need be; the folder above it must be there."""
        self._root = root
        self._threads = ThreadPoolExecutor(self.threads, thread_name_prefix="blob-removing")
        with translated("blobs"):
            root.mkdir(mode=0o700, exist_ok=True)
            sync_folder(root.parent)

    def bind(self, store_id: str) -> str:
        return mark.mark(self._root.with_name(mark.NAME), store_id)

    def bound(self) -> str | None:
        return mark.marked(self._root.with_name(mark.NAME))

    def is_empty(self) -> bool:
        """Whether there is no folder of a namespace, which is there as long as one of its objects is."""
        with translated("blobs", FileNotFoundError), suppress(FileNotFoundError):
            return not any(entry.is_dir() and entry.name != "lost+found" for entry in self._root.iterdir())
        return True

    def publish(self, name: ObjectName, staged: Path) -> bool:
        steps, leaf = _place_of(name)
        with translated("blobs", FileNotFoundError, FileExistsError):
            staged.chmod(0o400)
            for _ in range(_TRIES):
                with closing(_Descent(self._root)) as descent:
                    if descent.to(steps, make=True) and _put(staged, leaf, descent.folder):
                        # The parents each time: that a folder is there does not say that its maker lived to sync it.
                        descent.sync()
                        return False
        raise StorageUnavailable("blobs: folders vanish as fast as they are made")

    def comes_late(self, name: ObjectName) -> bool:
        return False

    def open(self, name: ObjectName) -> "FileReader":
        steps, leaf = _place_of(name)
        with translated("blobs"), closing(_Descent(self._root)) as descent:
            if descent.to(steps) and _size(leaf, descent.folder) is not None:
                with suppress(FileNotFoundError):
                    descriptor = os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descent.folder)
                    return FileReader(descriptor, "/".join((*steps, leaf)))
        raise BlobNotFound(str(name.digest))

    def size(self, name: ObjectName) -> int | None:
        steps, leaf = _place_of(name)
        with translated("blobs"), closing(_Descent(self._root)) as descent:
            return _size(leaf, descent.folder) if descent.to(steps) else None

    def remove(self, names: Sequence[ObjectName]) -> None:
        places = sorted(_place_of(name) for name in names)
        size = max(APART, -(-len(places) // self.threads))
        parts = [places[start : start + size] for start in range(0, len(places), size)]
        if len(parts) > 1:
            for under_way in [self._threads.submit(self._remove, part) for part in parts]:
                under_way.result()
        else:
            self._remove(places)

    def _remove(self, places: Sequence[tuple[Steps, str]]) -> None:
        """All files first, their folders after: the first fsync takes with it nearly all that the others would."""
        folders = [steps for steps, _ in groupby(places, key=lambda place: place[0])]
        with translated("blobs"), closing(_Descent(self._root)) as descent:
            for steps, leaf in places:
                if descent.to(steps) and _size(leaf, descent.folder) is not None:
                    with suppress(FileNotFoundError):
                        os.unlink(leaf, dir_fd=descent.folder)
            for steps in folders:
                descent.to(steps)
                # Also where nothing was left to unlink: a call that was killed may have unlinked and not synced.
                os.fsync(descent.folder)
            _drop_empty(descent, folders)

    def left(self, names: Sequence[ObjectName]) -> list[ObjectName]:
        return [name for name in names if self.size(name) is not None]

    def list(self) -> Iterator[tuple[ObjectName, int] | ForeignObject]:
        with translated("blobs"), closing(_Descent(self._root)) as descent:
            yield from _walk(descent.folder, ())

    def notes(self) -> Sequence[Notes | None]:
        return [None]

    def close(self) -> None:
        self._threads.shutdown()


class _Descent:
    """From the root down to one folder after the other; what two of them have in common stays open in between."""

    def __init__(self, root: Path) -> None:
        self._chain = [_open_root(root)]
        self._steps: Steps = ()

    @property
    def folder(self) -> int:
        """The folder that was gone to or, where it is not there, the last one above it that is."""
        return self._chain[-1]

    def to(self, steps: Steps, *, make: bool = False) -> bool:
        """Go to that folder; False where there is none."""
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._steps, steps, strict=False)))
        while len(self._chain) > common + 1:
            os.close(self._chain.pop())
        for step in steps[common:]:
            try:
                self._chain.append(_open_folder(step, self.folder, make=make))
            except FileNotFoundError:
                break
            except OSError as error:
                # Something foreign has the folder's name: nothing of ours is below it, nothing can be put there.
                if make or error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                break
        self._steps = steps[: len(self._chain) - 1]
        return self._steps == steps

    def sync(self) -> None:
        """Make durable what was put into the folder, and the names of those above it."""
        for descriptor in reversed(self._chain):
            os.fsync(descriptor)

    def close(self) -> None:
        """Let go of all folders."""
        while self._chain:
            os.close(self._chain.pop())


def _drop_empty(descent: _Descent, folders: Sequence[Steps]) -> None:
    """Remove those that are empty, then their parents likewise; what a publisher fills meanwhile stays.

    Durably: an empty folder that came back with a power cut would be found by nobody.
    """
    for _ in _FAN_OUT:
        parents = []
        for parent, group in groupby(folders, key=lambda steps: steps[:-1]):
            there = descent.to(parent)
            gone = [_remove_empty(steps[-1], descent.folder) for steps in group] if there else [True]
            if any(gone):
                os.fsync(descent.folder)
                parents.append(parent)
        folders = parents


class FileReader:
    """Adapter of `blobstore.backend.Reader`; keeps the bytes readable when the file is removed."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        with translated("blobs"):
            while length > 0 and (piece := os.pread(self._descriptor, length, offset)):
                pieces.append(piece)
                offset += len(piece)
                length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def fileno(self) -> int:
        return self._descriptor

    def path(self) -> str:
        return self._path

    def link(self, seconds: int, media_type: str, disposition: str) -> None:
        return None

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _place_of(name: ObjectName) -> tuple[Steps, str]:
    """The folders and the file name of an object. Raises `ValueError` for a name that `list` would call foreign."""
    digest = name.digest.hex
    steps = (name.namespace, digest[:2], digest[2:4])
    leaf = f"{digest}.{name.generation}"
    if not _FAN_OUT[0].match(name.namespace) or not _LEAF.match(leaf):
        raise ValueError("a namespace has lower-case letters and digits only, a generation 32 hexadecimal digits")
    return steps, leaf


def _open_root(root: Path) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        # Not "no blobs": a disk that is not mounted must never look like an empty store.
        raise StorageUnavailable("blobs: the folder of all blobs is not there") from None


def _open_folder(step: str, parent: int, *, make: bool) -> int:
    try:
        return os.open(step, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(step, 0o700, dir_fd=parent)
    return os.open(step, _FOLDER, dir_fd=parent)


def _size(leaf: str, folder: int) -> int | None:
    """Length of the regular file; None when there is none."""
    try:
        found = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _put(staged: Path, leaf: str, folder: int) -> bool:
    """Give the staged file its name without ever replacing one; False when the folder was removed meanwhile."""
    try:
        try:
            os.link(staged, leaf, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            _rename_without_replacing(staged, leaf, folder)
    except FileNotFoundError:
        if os.path.lexists(staged):
            return False
        raise
    return True


def _rename_without_replacing(staged: Path, leaf: str, folder: int) -> None:
    """For file systems without hard links (FAT, some network mounts)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(staged), folder, os.fsencode(leaf), _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS):
            raise StorageUnavailable("blobs: this file system knows neither hard links nor renames that never replace")
        raise OSError(number, os.strerror(number))


def _remove_empty(folder: str, parent: int) -> bool:
    """Whether it is not there any more."""
    try:
        os.rmdir(folder, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in _NOT_REMOVABLE:
            return False
        raise
    return True


def _walk(folder: int, steps: Steps) -> Iterator[tuple[ObjectName, int] | ForeignObject]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it went meanwhile
                found = entry.stat(follow_symlinks=False)
                regular = stat.S_ISREG(found.st_mode)
                if (
                    stat.S_ISDIR(found.st_mode)
                    and len(steps) < len(_FAN_OUT)
                    and _FAN_OUT[len(steps)].match(entry.name)
                ):
                    yield from _walk_below(folder, steps, entry.name)
                elif regular and (name := _parse(steps, entry.name)) is not None:
                    yield name, found.st_size
                else:
                    yield ForeignObject(_shown((*steps, entry.name)), found.st_size if regular else 0)


def _walk_below(parent: int, steps: Steps, step: str) -> Iterator[tuple[ObjectName, int] | ForeignObject]:
    descriptor = os.open(step, _FOLDER, dir_fd=parent)
    try:
        yield from _walk(descriptor, (*steps, step))
    finally:
        os.close(descriptor)


def _parse(steps: Steps, leaf: str) -> ObjectName | None:
    match = _LEAF.match(leaf)
    if match is None or steps[1:] != (leaf[:2], leaf[2:4]):
        return None
    return ObjectName(steps[0], Digest(match[1]), match[2])


def _shown(steps: Steps) -> str:
    """A relative path as text, also where its bytes are not."""
    return os.fsencode("/".join(steps)).decode("utf-8", "backslashreplace")
