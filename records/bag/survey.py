"""A bag that came, surveyed: every file read once, with its digests, and what was said of it so far.

The list is in a scratch database, for it may be longer than memory is large. Calls block; one thread at a time.
"""

from collections.abc import Iterator

from blobstore.digest import Content, Digest, Hasher
from blobstore.errors import StorageUnavailable
from blobstore.scratch import ScratchDatabase
from blobstore.staging import Staging
from records.bag.archive import Archive, Found
from records.errors import BadBag

MAX_LINE = 64 << 10
"""Bytes of a line in a list or a manifest; those of records may be longer."""


class Survey:
    """The files of one archive. `close` it whatever happens."""

    def __init__(self, archive: Archive, staging: Staging) -> None:
        self.archive = archive
        self._index = ScratchDatabase(staging)
        for statement in _TABLES.split(";\n"):
            self._index.execute(statement)
        self.bytes = 0
        self._stopped = False

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        self._index.close()

    def stop(self) -> None:
        """From any thread: what reads files ends early, by an error."""
        self._stopped = True

    def read_all(self, limit: int) -> None:
        """Read every file once. Raises `BadBag`, also where all of them together have over `limit` bytes."""
        for found in self.archive.files():
            self.bytes += found.size
            if self.bytes > limit:
                raise BadBag(f"its files have over {limit:,} bytes; raise --limit if that is meant")
            content = self._hashed(found)
            # Names are ASCII: those that some file system takes for the same differ in case only.
            same = self._index.execute("SELECT path FROM files WHERE folded = ?", (found.path.lower(),)).fetchone()
            if same is not None:
                raise BadBag(f"{found.path} is in it twice, or is {same[0]} on some file systems")
            row = (found.path, found.path.lower(), content.size, content.digest.raw, content.sha256, found.where)
            self._index.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, 0)", row)

    # -- what is there ---------------------------------------------------------------------------------------------

    def content(self, path: str) -> Content:
        """What a file is. Raises `BadBag` where it is not there."""
        row = self._index.execute("SELECT digest, sha256, size FROM files WHERE path = ?", (path,)).fetchone()
        if row is None:
            raise BadBag(f"{path} is missing")
        return Content(Digest.from_bytes(row[0]), row[1], row[2])

    def has(self, path: str) -> bool:
        """Whether it is there."""
        return self._index.execute("SELECT 1 FROM files WHERE path = ?", (path,)).fetchone() is not None

    def paths(self, begin: str) -> Iterator[str]:
        """Those that begin so, in order."""
        for (path,) in self._index.execute("SELECT path FROM files WHERE path >= ? ORDER BY path", (begin,)):
            if not path.startswith(begin):
                return
            yield path

    def blob_by_sha256(self, sha256: bytes) -> Digest | None:
        """The attached file with this SHA-256."""
        row = self._index.execute(_BY_SHA256, (sha256,)).fetchone()
        return None if row is None else Digest.from_bytes(row[0])

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of a file once more. Raises `BadBag` at their end where they are not those that were surveyed."""
        content = self.content(path)
        (where,) = self._index.execute("SELECT place FROM files WHERE path = ?", (path,)).fetchone()
        hasher = Hasher()
        for piece in self._read(Found(path, content.size, where)):
            hasher.update(piece)
            yield piece
        if hasher.finish() != content:
            raise BadBag(f"{path} changed while it was imported; import again")

    def whole(self, path: str, limit: int) -> bytes:
        """All of a file that has at most `limit` bytes."""
        if self.content(path).size > limit:
            raise BadBag(f"{path} is longer than {limit:,} bytes")
        return b"".join(self.pieces(path))

    def lines(self, path: str, limit: int = MAX_LINE) -> Iterator[bytes]:
        """The lines of a file without their ends. Raises `BadBag` for one over `limit` bytes, or without an end."""
        pending = b""
        for piece in self.pieces(path):
            *complete, pending = (pending + piece).split(b"\n")
            if any(len(line) > limit for line in (*complete, pending)):
                raise BadBag(f"{path} has a line of over {limit:,} bytes")
            yield from complete
        if pending:
            raise BadBag(f"the last line of {path} has no end")

    # -- what is said of it ----------------------------------------------------------------------------------------

    def mark(self, path: str, what: int) -> bool:
        """Note that something was said of a file; False when it was before. Raises `BadBag` where it is missing."""
        self.content(path)
        sql = "UPDATE files SET said = said | ? WHERE path = ? AND NOT said & ?"
        return self._index.execute(sql, (what, path, what)).rowcount == 1

    def said(self, path: str, what: int) -> bool:
        """Whether it was."""
        sql = "SELECT 1 FROM files WHERE path = ? AND said & ?"
        return self._index.execute(sql, (path, what)).fetchone() is not None

    def unmarked(self, begin: str, what: int) -> str | None:
        """The first file whose path begins so of which this was not said."""
        sql = "SELECT path FROM files WHERE substr(path, 1, ?) = ? AND NOT said & ? ORDER BY path LIMIT 1"
        row = self._index.execute(sql, (len(begin), begin, what)).fetchone()
        return None if row is None else str(row[0])

    def totals(self, begin: str) -> tuple[int, int]:
        """How many files begin so, and their bytes."""
        sql = "SELECT count(*), coalesce(sum(size), 0) FROM files WHERE substr(path, 1, ?) = ?"
        count, size = self._index.execute(sql, (len(begin), begin)).fetchone()
        return count, size

    def _read(self, found: Found) -> Iterator[bytes]:
        for piece in self.archive.pieces(found):
            if self._stopped:
                raise StorageUnavailable("the import was given up")
            yield piece

    def _hashed(self, found: Found) -> Content:
        hasher = Hasher()
        for piece in self._read(found):
            hasher.update(piece)
        content = hasher.finish()
        if content.size != found.size:
            raise BadBag(f"{found.path} has {content.size:,} bytes, and {found.size:,} are declared")
        return content


_TABLES = """
CREATE TABLE files (
    path TEXT PRIMARY KEY, folded TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, digest BLOB NOT NULL,
    sha256 BLOB NOT NULL, place TEXT NOT NULL, said INTEGER NOT NULL
);
CREATE INDEX files_by_sha256 ON files (sha256)
"""

_BY_SHA256 = "SELECT digest FROM files WHERE sha256 = ? AND substr(path, 1, 11) = 'data/blobs/' LIMIT 1"
