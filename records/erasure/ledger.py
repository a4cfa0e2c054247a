"""The erasure ledger: what was erased, kept where no backup goes, so that no backup brings it back.

One line per erasure, durable before its first row goes, without content: ids, and where one record was erased the
keyed digest of its key. A restore erases again what the ledger names beyond where it was at the snapshot, and the
snapshot's central store has never heard of: that erasure was begun after the snapshot, so whatever of its target is in
the snapshot is older. No clock decides. What stood there before and is unknown all the same was erased in another
directory, a copy that was restored to try it: the data of the snapshot were never meant.

A line is a JSON object `{"entry": …, "hash": …}`; the hash covers the entry's text and the hash of the line before, and
the first line names the store. So a line that was changed or taken out is found. A cut-off end is not, by the file
alone: each snapshot remembers how far the ledger had come. What a crash left of a last line was never acted on.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import msgspec

from blobstore.digest import derive
from blobstore.durable import make_folders, sync_folder
from blobstore.errors import Damaged, StorageUnavailable, WrongStore, translated
from blobstore.sqlite.file import file_lock

NAME = "erasures.ledger"
"""Its file in a data directory, unless it is kept elsewhere."""

_CONTEXT = "blobstore 2026-11 line of an erasure ledger"
_GENESIS = bytes(32)
_MAX_LINE = 256 << 20
"""Bytes: an erasure names every instance of a connector, and a bag may bring 100,000."""


class Entry(msgspec.Struct, frozen=True):
    """One erasure: its id and time, and what it covers (`report.Covered`); `record` is the digest of a key."""

    erasure: str
    requested_at: str
    kind: Literal["record", "stream", "instance", "connector", "owner"]
    owner: str
    connector: str | None = None
    instances: tuple[str, ...] = ()
    stream: str | None = None
    record: str | None = None
    consent_field: str | None = None
    everywhere: bool = False


class _First(msgspec.Struct, frozen=True):
    ledger_of: str


class _Line(msgspec.Struct, frozen=True):
    entry: msgspec.Raw
    hash: str


class Position(msgspec.Struct, frozen=True):
    """How far a ledger has come: its lines, and the hash of the last."""

    lines: int
    hash: str


@dataclass(frozen=True, slots=True)
class Read:
    """A ledger as it was read: of which store, and the hashes of its lines."""

    store: str
    entries: list[Entry]
    hashes: list[str]

    def reaches(self, position: Position) -> bool:
        """Whether it has come so far, along the same lines."""
        return 0 < position.lines <= len(self.hashes) and self.hashes[position.lines - 1] == position.hash

    def beyond(self, position: Position) -> list[Entry]:
        """The entries that came after it."""
        return self.entries[position.lines - 1 :]  # the first line is no entry


def read(path: Path) -> Read:
    """The whole ledger. Blocks. Raises `Damaged` where a line is not what was written, `StorageUnavailable`."""
    walk, entries, hashes = _Walk(path), list[Entry](), list[str]()
    for entry in walk.on():
        hashes.append(walk.hash)
        if entry is not None:
            entries.append(entry)
    return Read(walk.store, entries, hashes)


class _Walk:
    """Reads a ledger line by line, later on from where it has come to; holds none of them. Every call blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.store = ""
        self.first = ""
        """The hash of the first line, which names the store."""
        self.lines = 0
        self.hash = _GENESIS.hex()
        """Of the last line."""
        self.end = 0
        """Where the last whole line ends, in bytes: what follows is what a crash left of one that nobody acted on."""

    def on(self) -> Iterator[Entry | None]:
        """The entries that follow, as they are read; None for the first line. Raises as `read`."""
        with translated(self._path.name), self._path.open("rb") as file:
            file.seek(self.end)
            while (text := file.readline(_MAX_LINE)).endswith(b"\n"):
                yield self._entry(text)
            if len(text) == _MAX_LINE:
                raise self._damaged()
        if not self.lines:
            raise Damaged(f"{self._path.name} is not an erasure ledger: its first line is missing")

    def _entry(self, text: bytes) -> Entry | None:
        try:
            line = msgspec.json.decode(text, type=_Line)
            if line.hash != _hash(self.hash, bytes(line.entry)):
                raise self._damaged()
            entry = None
            if self.lines:
                entry = msgspec.json.decode(line.entry, type=Entry)
            else:
                self.store, self.first = msgspec.json.decode(line.entry, type=_First).ledger_of, line.hash
        except msgspec.MsgspecError as error:
            raise self._damaged() from error
        self.lines, self.hash, self.end = self.lines + 1, line.hash, self.end + len(text)
        return entry

    def _damaged(self) -> Damaged:
        number = self.lines + 1
        return Damaged(
            f"{self._path.name} was changed at line {number}, or a line before it was taken out; bring back a copy"
        )


class Ledger:
    """The ledger of one store. Any number of processes may write to it at once.

    To write costs the same however long it is: what was read once is read again only where the file is another one.
    """

    def __init__(self, path: Path, walk: _Walk, ids: set[str], looked: os.stat_result) -> None:
        self.path = path
        self._walk = walk
        self._ids = ids
        self._looked = looked

    @classmethod
    async def open(cls, path: Path, store: str) -> Self:
        """Open the file, made if need be. Raises `WrongStore`, `Damaged`, `StorageUnavailable`."""
        return await asyncio.to_thread(cls._open, path, store)

    @classmethod
    def _open(cls, path: Path, store: str) -> Self:
        with translated(path.name):
            make_folders(path.parent)
            with _locked(path):
                if not path.exists() or path.stat().st_size == 0:
                    first = _line(_GENESIS.hex(), msgspec.json.encode(_First(store)))
                    _append(path, 0, msgspec.json.encode(first) + b"\n")
                walk = _Walk(path)
                ids = {entry.erasure for entry in walk.on() if entry is not None}
                looked = path.stat()
        if walk.store != store:
            raise WrongStore(f"{path.name} is the erasure ledger of another store")
        return cls(path, walk, ids, looked)

    async def write(self, entry: Entry) -> None:
        """Put the erasure on the ledger, durably; once, however often it is written. Raises as `open` does."""
        if entry.erasure not in self._ids:
            await asyncio.to_thread(self._write, entry)

    def has(self, erasure: str) -> bool:
        """Whether the erasure was on it when this process last looked."""
        return erasure in self._ids

    async def position(self) -> Position:
        """How far it has come now, all of it read and found right."""
        walk = _Walk(self.path)

        def read_all() -> None:
            for _ in walk.on():
                pass

        await asyncio.to_thread(read_all)
        return Position(walk.lines, walk.hash)

    def _write(self, entry: Entry) -> None:
        with translated(self.path.name), _locked(self.path):
            if not self.path.exists():
                raise StorageUnavailable(f"{self.path.name} was removed while it was in use; start again")
            self._catch_up()  # others have written, too
            if entry.erasure not in self._ids:
                line = _line(self._walk.hash, msgspec.json.encode(entry))
                _append(self.path, self._walk.end, msgspec.json.encode(line) + b"\n")
                self._catch_up()

    def _catch_up(self) -> None:
        """Read what was added. Where it may be more than that, read all of it."""
        now, before = self.path.stat(), self._looked
        if _seen(now) == _seen(before):
            return
        walk = self._walk if now.st_ino == before.st_ino and now.st_size > before.st_size else _Walk(self.path)
        ids = {entry.erasure for entry in walk.on() if entry is not None}
        if walk.first != self._walk.first or walk.lines < self._walk.lines:
            raise StorageUnavailable(f"{self.path.name} was replaced, or cut off, while it was in use; start again")
        self._ids |= ids
        self._walk, self._looked = walk, now


def _seen(status: os.stat_result) -> tuple[int, int, int]:
    """What differs where a file was written to, or is another one."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def _line(previous: str, entry: bytes) -> _Line:
    return _Line(msgspec.Raw(entry), _hash(previous, entry))


def _hash(previous: str, entry: bytes) -> str:
    return derive(_CONTEXT, bytes.fromhex(previous) + entry).hex()


def _locked(path: Path) -> AbstractContextManager[None]:
    return file_lock(path.with_name(path.name + ".lock"))


def _append(path: Path, end: int, text: bytes) -> None:
    """Write at `end`: what lies beyond it is what a crash left of a line that was never acted on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, end)
        rest = memoryview(text)
        while rest:  # a disk that fills up takes a part of it first
            rest = rest[os.pwrite(descriptor, rest, end + len(text) - len(rest)) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
