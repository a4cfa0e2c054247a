"""What a bag holds and where its bytes are: a list that may be longer than memory is large.

Text is written into one scratch file as it is made; attached files stay where they are stored.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from blobstore.backend import ObjectName
from blobstore.catalogue import Stored
from blobstore.digest import Content, Digest, Hasher
from blobstore.scratch import ScratchDatabase, ScratchFile
from blobstore.staging import Staging
from records.bag import layout

PIECE = 1 << 20
"""Bytes that are looked at in one go."""


class Source(StrEnum):
    """Where the bytes of a member are."""

    TEXT = "text"
    DATABASE = "database"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bag; sizes and offsets in bytes.

    `offset` is where its text begins, `generation` which copy of a blob it is and `located` where that
    lies; each only where it is one.
    """

    path: str
    content: Content
    source: Source
    offset: int = 0
    generation: str = ""
    located: int = 0

    @property
    def size(self) -> int:
        """Of the file."""
        return self.content.size


class Contents:
    """The members of one bag. Calls block; one thread at a time. `close` it whatever happens."""

    def __init__(self, staging: Staging, namespace: str) -> None:
        self._namespace = namespace
        with ExitStack() as made:
            self.database = ScratchDatabase(staging)
            made.callback(self.database.close)
            self._index = ScratchDatabase(staging)
            made.callback(self._index.close)
            self._text = ScratchFile(staging)
            made.callback(self._text.close)
            for statement in _TABLES.split(";\n"):
                self._index.execute(statement)
            self._files = made.pop_all()

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        self._files.close()

    # -- making it -------------------------------------------------------------------------------------------------

    def text(self, path: str) -> "Text":
        """A member whose text follows; one at a time."""
        return Text(self, self._text, path)

    def add(self, member: Member) -> None:
        """A member is complete. Its path is new."""
        content = member.content
        self._index.execute(
            "INSERT INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(member.path, content.size, content.digest.raw, content.sha256),
                *(member.source, member.offset, member.generation, member.located),
            ),
        )

    def add_database(self, size: int) -> None:
        """`database` was sealed, with so many bytes: it is a member."""
        hasher = Hasher()
        for start in range(0, size, PIECE):
            hasher.update(self.database.bytes(start, PIECE))
        self.add(Member(layout.DATABASE, hasher.finish(), Source.DATABASE))

    def want(self, digest: Digest) -> None:
        """A blob is named, maybe again."""
        self._index.execute("INSERT OR IGNORE INTO wanted VALUES (?)", (digest.raw,))

    def wanted(self, after: Digest | None, limit: int) -> list[Digest]:
        """Blobs that are named, in the order of digests, beyond `after`."""
        sql = "SELECT digest FROM wanted WHERE digest > ? ORDER BY digest LIMIT ?"
        rows = self._index.execute(sql, (b"" if after is None else after.raw, limit)).fetchall()
        return [Digest.from_bytes(digest) for (digest,) in rows]

    def add_blob(self, stored: Stored) -> None:
        """A blob is a member."""
        name = stored.name
        content = Content(name.digest, stored.sha256, stored.size)
        self.add(Member(layout.blob(name.digest), content, Source.BLOB, 0, name.generation, name.place))

    def replace(self, stored: Stored) -> None:
        """The blob is stored in another copy now."""
        self._index.execute(
            "UPDATE members SET generation = ?, located = ? WHERE path = ?",
            (stored.name.generation, stored.name.place, layout.blob(stored.name.digest)),
        )

    # -- what is in it ---------------------------------------------------------------------------------------------

    def members(self, begin: str = "") -> Iterator[Member]:
        """All whose path begins so, in the order of paths."""
        rows = self._index.execute("SELECT * FROM members WHERE path >= ? ORDER BY path", (begin,))
        for row in rows:
            if not row[0].startswith(begin):
                return
            yield _member(row)

    def member(self, path: str) -> Member:
        """The one of this path, which is there."""
        return _member(self._index.execute("SELECT * FROM members WHERE path = ?", (path,)).fetchone())

    def totals(self, begin: str) -> tuple[int, int]:
        """How many files begin so, and their bytes."""
        sql = "SELECT count(*), coalesce(sum(size), 0) FROM members WHERE substr(path, 1, ?) = ?"
        count, size = self._index.execute(sql, (len(begin), begin)).fetchone()
        return count, size

    def place(self, start: int, path: str) -> None:
        """In an archive the member begins at `start`; larger each time."""
        self._index.execute("INSERT INTO places VALUES (?, ?)", (start, path))

    def placed(self, offset: int, stop: int) -> list[tuple[int, Member]]:
        """Where the members begin that an archive has between the two, and which they are."""
        return [(start, _member(row)) for start, *row in self._index.execute(_PLACED, (offset, stop))]

    def read(self, member: Member, offset: int, length: int) -> bytes:
        """Bytes of a member that is no blob."""
        if member.source is Source.DATABASE:
            return self.database.bytes(offset, length)
        return self._text.read(member.offset + offset, length)

    def object_name(self, member: Member) -> ObjectName:
        """Where a blob's bytes are."""
        return ObjectName(self._namespace, member.content.digest, member.generation, member.located)


class Text:
    """The text of one member, while it is written. A context manager: at its end it is one."""

    def __init__(self, contents: Contents, file: ScratchFile, path: str) -> None:
        self._contents = contents
        self._file = file
        self._path = path
        self._offset = file.size
        self._hasher = Hasher()
        self._pieces: list[bytes] = []
        self._gathered = 0
        self.content: Content | None = None

    def write(self, data: bytes) -> None:
        """Add to it."""
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= PIECE:
            self._flush()

    def __enter__(self) -> "Text":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        if kind is None:
            self._flush()
            self.content = self._hasher.finish()
            self._contents.add(Member(self._path, self.content, Source.TEXT, self._offset))

    def _flush(self) -> None:
        data = b"".join(self._pieces)
        self._pieces, self._gathered = [], 0
        self._hasher.update(data)
        self._file.append(data)


def _member(row: Sequence[Any]) -> Member:
    path, size, digest, sha256, source, *rest = row
    return Member(path, Content(Digest.from_bytes(digest), sha256, size), Source(source), *rest)


_TABLES = """
CREATE TABLE members (
    path TEXT PRIMARY KEY, size INTEGER, digest BLOB, sha256 BLOB, source TEXT, offset INTEGER, generation TEXT,
    located INTEGER
) WITHOUT ROWID;
CREATE TABLE places (start INTEGER PRIMARY KEY, path TEXT);
CREATE TABLE wanted (digest BLOB PRIMARY KEY) WITHOUT ROWID
"""

_PLACED = """
SELECT p.start, m.* FROM places p CROSS JOIN members m ON m.path = p.path
WHERE p.start >= (SELECT coalesce(max(start), 0) FROM places WHERE start <= ?) AND p.start < ?
ORDER BY p.start
"""
