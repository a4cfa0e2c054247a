"""The folder of a bundle: written file by file, and read as something that a stranger brought. Every call blocks."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from blobstore.digest import Content, Hasher
from blobstore.durable import sync_folder, write_durably
from blobstore.errors import translated
from records import jsontext
from records.bundle.extract import MAX_LINE
from records.errors import BadBag

BAG, SPINE, DOCUMENT, RECEIPT = "bag", "spine.ndjson", "bundle.json", "erasure.json"
PIECE = 1 << 20
MAX_DOCUMENT = 1 << 20
"""Bytes of `bundle.json`."""

_ERASURE = "erasure_id"
"""The member of a receipt; before there is one, all that stands in its place."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class NewFile:
    """A file that is not there yet, durable once it is closed well; its folders are made."""

    def __init__(self, path: Path) -> None:
        with translated(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = path.open("xb")
        self._hasher = Hasher()

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._hasher.update(data)
        with translated(self._file.name):
            self._file.write(data)

    def close(self) -> Content:
        """What it is, on the disk."""
        with translated(self._file.name), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._hasher.finish()


def sync_all(folder: Path) -> None:
    """Every folder in it, and it, so that names stay."""
    for place, _, _ in os.walk(folder, topdown=False):
        sync_folder(Path(place))


def require_form(folder: Path) -> None:
    """Raise `BadBag` unless it has the files of a bundle, as files, and nothing else."""
    with translated(str(folder)), os.scandir(folder) as entries:
        some = islice(entries, 5)  # one more than it may have
        found = {entry.name: entry.stat(follow_symlinks=False).st_mode for entry in some}
    if not {BAG, SPINE, DOCUMENT} <= found.keys() <= {BAG, SPINE, DOCUMENT, RECEIPT}:
        raise BadBag(f"{folder} has other files than a bundle has")
    for name, mode in found.items():
        if not (stat.S_ISDIR(mode) if name == BAG else stat.S_ISREG(mode)):
            raise BadBag(f"{name} is not what it should be: neither links nor devices are followed")


# -- what it knows of the erasure ------------------------------------------------------------------------------------


def keep_erasure(folder: Path, erasure: str) -> None:
    """The erasure with this id is, or will be, that of the bundle's connector; durable when this returns."""
    with translated(str(folder)):
        write_durably(folder / RECEIPT, jsontext.encode({_ERASURE: erasure}) + b"\n")


def keep_receipt(folder: Path, receipt: bytes) -> None:
    """The erasure is done; durable when this returns."""
    with translated(str(folder)):
        write_durably(folder / RECEIPT, receipt)


def erasure_of(folder: Path) -> str | None:
    """The id that was kept, also by a receipt; None where there is none. What a crash left of keeping it goes."""
    with translated(str(folder)):
        (folder / f".{RECEIPT}.new").unlink(missing_ok=True)  # of `write_durably`
        if not os.path.lexists(folder / RECEIPT):
            return None
    return _said(folder)[_ERASURE]


def has_receipt(folder: Path) -> bool:
    """Whether it is kept that the erasure is done."""
    return len(_said(folder)) > 1


def _said(folder: Path) -> dict[str, str]:
    try:
        said: dict[str, str] = jsontext.decode(text_of(folder / RECEIPT, MAX_DOCUMENT))
        if isinstance(said[_ERASURE], str):
            return said
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise BadBag(f"{RECEIPT} is neither a receipt nor tells of an erasure")


# -- reading ---------------------------------------------------------------------------------------------------------


def text_of(path: Path, limit: int) -> bytes:
    """All of a small file. Raises `BadBag`."""
    data = b"".join(_pieces(path, limit))
    if len(data) > limit:
        raise BadBag(f"{path.name} is longer than {limit:,} bytes")
    return data


def lines_of(path: Path, hasher: Hasher, limit: int) -> Iterator[bytes]:
    """The lines of a file without their ends, all of which goes through the hasher. Raises `BadBag`."""
    pending, size = b"", 0
    for piece in _pieces(path, limit):
        size += len(piece)
        hasher.update(piece)
        *complete, pending = (pending + piece).split(b"\n")
        if len(pending) > MAX_LINE or size > limit:
            raise BadBag(f"{path.name} is too long, or has a line that is")
        yield from complete
    if pending:
        raise BadBag(f"the last line of {path.name} has no end")


def _pieces(path: Path, limit: int) -> Iterator[bytes]:
    with translated(path.name):
        descriptor = os.open(path, _READ)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadBag(f"{path.name} is no file")
            while limit >= 0 and (piece := os.read(descriptor, PIECE)):
                limit -= len(piece)
                yield piece
        finally:
            os.close(descriptor)
