"""The erasure ledger: what was erased, kept where no backup goes, so that no backup brings it back.

One line per erasure, durable before its first row goes, without content: ids, and where one record was erased the
keyed digest of its key. A restore erases again what the ledger names and the snapshot's central store has never heard
of: that erasure was begun after the snapshot, so whatever of its target is in the snapshot is older. No clock decides.

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
from blobstore.sqlitefile import file_lock

NAME = "erasures.ledger"
"""Its file in a data directory, unless it is kept elsewhere."""

_CONTEXT = "blobstore 2026-11 line of an erasure ledger"
_GENESIS = bytes(32)
_MAX_LINE = 16 << 20


class Entry(msgspec.Struct, frozen=True):
    """One erasure: its id and time, and what it covers (`records.report.Covered`); `record` is the digest of a key."""

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
    """A ledger as it was read: of which store, the hashes of its lines, and where the last whole line ends."""

    store: str
    entries: list[Entry]
    hashes: list[str]
    end: int

    def reaches(self, position: Position) -> bool:
        """Whether it has come so far, along the same lines."""
        return 0 < position.lines <= len(self.hashes) and self.hashes[position.lines - 1] == position.hash


def read(path: Path) -> Read:
    """The whole ledger. Blocks. Raises `Damaged` where a line is not what was written, `StorageUnavailable`."""
    entries, hashes, end, store = list[Entry](), list[str](), 0, None
    for text, found in _lines(path):
        end += len(text)
        hashes.append(found.hash)
        try:
            if store is None:
                store = msgspec.json.decode(found.entry, type=_First).ledger_of
            else:
                entries.append(msgspec.json.decode(found.entry, type=Entry))
        except msgspec.MsgspecError as error:
            raise _damaged(path, len(hashes)) from error
    if store is None:
        raise Damaged(f"{path.name} is not an erasure ledger: its first line is missing")
    return Read(store, entries, hashes, end)


def _lines(path: Path) -> Iterator[tuple[bytes, _Line]]:
    previous, number = _GENESIS.hex(), 0
    with translated(path.name), path.open("rb") as file:
        while (text := file.readline(_MAX_LINE)).endswith(b"\n"):
            number += 1
            try:
                found = msgspec.json.decode(text, type=_Line)
            except msgspec.MsgspecError as error:
                raise _damaged(path, number) from error
            if found.hash != _hash(previous, bytes(found.entry)):
                raise _damaged(path, number)
            previous = found.hash
            yield text, found


def _damaged(path: Path, number: int) -> Damaged:
    return Damaged(f"{path.name} was changed at line {number}, or a line before it was taken out; bring back a copy")


class Ledger:
    """The ledger of one store. Any number of processes may write to it at once."""

    def __init__(self, path: Path, known: Read) -> None:
        self.path = path
        self._known = known
        self._ids = {entry.erasure for entry in known.entries}

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
                known = read(path)
        if known.store != store:
            raise WrongStore(f"{path.name} is the erasure ledger of another store")
        return cls(path, known)

    async def write(self, entry: Entry) -> None:
        """Put the erasure on the ledger, durably; once, however often it is written. Raises as `open` does."""
        if entry.erasure not in self._ids:
            await asyncio.to_thread(self._write, entry)

    def has(self, erasure: str) -> bool:
        """Whether the erasure was on it when this process last looked."""
        return erasure in self._ids

    async def position(self) -> Position:
        """How far it has come now."""
        known = await asyncio.to_thread(read, self.path)
        return Position(len(known.hashes), known.hashes[-1])

    def _write(self, entry: Entry) -> None:
        with translated(self.path.name), _locked(self.path):
            if not self.path.exists():
                raise StorageUnavailable(f"{self.path.name} was removed while it was in use; start again")
            known = read(self.path)  # others have written, too
            if known.hashes[0] != self._known.hashes[0]:
                raise StorageUnavailable(f"{self.path.name} was replaced while it was in use; start again")
            if all(each.erasure != entry.erasure for each in known.entries):
                line = _line(known.hashes[-1], msgspec.json.encode(entry))
                _append(self.path, known.end, msgspec.json.encode(line) + b"\n")
        self._ids.add(entry.erasure)


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
