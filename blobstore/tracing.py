"""Looks for traces in the files of a data directory: the child process of `blobstore.searching`.

It gets its request on stdin and answers on stdout, both MessagePack. Every erasure starts one: it loads what it needs.
"""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from blobstore.errors import Moved
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect, is_damage
from blobstore.traces import Traces


class Search(msgspec.Struct, frozen=True):
    """What to look for, and where. Paths are relative to `root`; those that are gone, or no files, are left out."""

    root: str
    samples: Sequence[bytes]
    paths: Sequence[str]
    databases: Sequence[str]
    """Whose living rows are asked about what was found in a file."""
    silent: Sequence[str]
    """Tables whose rows must never show any of it, so that they excuse nothing."""


class Hit(msgspec.Struct, frozen=True):
    """A run of at least `traces.SHORTEST` bytes of a sample, from an offset of a file on: the first one there."""

    path: str
    offset: int
    sample: int


class Found(msgspec.Struct, frozen=True):
    """What a search found. `living` are samples that rows show which are there to stay: their hits are no residue."""

    files: int
    bytes: int
    hits: Sequence[Hit]
    living: Sequence[int]
    unread: Sequence[str]
    """Files that could not be read."""

    @property
    def residue(self) -> list[Hit]:
        """The hits that no living row explains."""
        living = set(self.living)
        return [hit for hit in self.hits if hit.sample not in living]


def look(what: Search) -> Found:
    """Search here: for a process that has none of the databases open."""
    root, traces = Path(what.root), Traces(what.samples)
    files, total, hits, unread = 0, 0, list[Hit](), list[str]()
    for path in what.paths:
        try:
            with closing(_File(root / path)) as file:
                hits += [Hit(path, offset, sample) for offset, sample in traces.in_file(file.descriptor)]
                files, total = files + 1, total + file.size
        except FileNotFoundError:
            continue
        except OSError:
            unread.append(path)
    suspected = sorted({hit.sample for hit in hits})
    return Found(files, total, hits, _excused(what, suspected) if suspected else [], unread)


def _excused(what: Search, suspected: Sequence[int]) -> list[int]:
    """Those of the suspected samples that rows show which are there to stay."""
    # Every run: in a row it may lie otherwise than in the file, and must be seen there as well.
    traces = Traces([what.samples[number] for number in suspected], every=True)
    shown = set[int]()
    for path in what.databases:
        try:
            _see(Path(what.root) / path, traces, what.silent, shown)
        except Moved:  # it went meanwhile
            continue
        except sqlite3.DatabaseError as error:
            if not is_damage(error):  # a damaged database excuses nothing
                raise
    return sorted(suspected[number] for number in shown)


class _File:
    """A regular file that is open to be read."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(self.descriptor)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise FileNotFoundError(path)

    def close(self) -> None:
        os.close(self.descriptor)


def _see(database: Path, traces: Traces, silent: Sequence[str], shown: set[int]) -> None:
    """Add the samples that rows of the database show; no row is looked at that cannot add any."""
    if len(shown) == len(traces) or not database.exists():
        return
    with closing(connect(database)) as db:
        db.execute("PRAGMA query_only = ON")
        db.text_factory = bytes
        for value in _values(db, silent):
            shown.update(number for _, number in traces.in_text(value, shown))
            if len(shown) == len(traces):
                return


def _values(db: sqlite3.Connection, silent: Sequence[str]) -> Iterator[bytes]:
    tables = [row[0].decode() for row in db.execute(_TABLES)]
    for table in set(tables).difference(silent):
        for row in db.execute(f'SELECT * FROM "{table}"'):
            for value in row:
                if isinstance(value, bytes):
                    yield value


_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.msgpack.encode(look(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Search))))
