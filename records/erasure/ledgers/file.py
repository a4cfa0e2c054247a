"""The erasure ledger as a file, which every process of one machine appends to.

What a crash left of a last line was never acted on, and is written over.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from blobstore.durable import make_folders, sync_folder
from blobstore.errors import Damaged, StorageUnavailable, translated
from blobstore.locked import file_lock
from records.erasure.ledger import MAX_LINE, Chain, Entry, Position, Read, first


class FileLedger:
    """Adapter of `records.erasure.ledger.Ledger`.

    To write costs the same however long it is: what was read once is read again only where the file is another one.
    """

    def __init__(self, path: Path, walk: "_Walk", looked: os.stat_result) -> None:
        self.path = path
        self._walk = walk
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
                    _append(path, 0, first(store) + b"\n")
                walk = _Walk(path, store)
                walk.to_the_end()
                looked = path.stat()
        return cls(path, walk, looked)

    @property
    def name(self) -> str:
        return self.path.name

    async def append(self, texts: Sequence[bytes]) -> None:
        if any(map(self._walk.chain.lacks, texts)):
            await asyncio.to_thread(self._write, texts)

    async def has(self, erasure: str) -> bool:
        await asyncio.to_thread(self._look)
        return erasure in self._walk.chain.ids

    async def position(self) -> Position:
        walk = _Walk(self.path)
        await asyncio.to_thread(walk.to_the_end)
        return walk.chain.position

    async def follow(self) -> None:
        """It stays where it is."""

    async def read(self) -> Read:
        return await asyncio.to_thread(read, self.path)

    def _look(self) -> None:
        with translated(self.name), _locked(self.path):
            self._catch_up()

    def _write(self, texts: Sequence[bytes]) -> None:
        with translated(self.name), _locked(self.path):
            self._catch_up()  # others have written, too
            for text in texts:
                if self._walk.chain.lacks(text):
                    _append(self.path, self._walk.end, self._walk.chain.next(text) + b"\n")
                    self._catch_up()

    def _catch_up(self) -> None:
        """Read what was added. Where it may be more than that, read all of it."""
        if not self.path.exists():
            raise StorageUnavailable(f"{self.name} was removed while it was in use; start again")
        now, before = self.path.stat(), self._looked
        if _seen(now) == _seen(before):
            return
        known = self._walk.chain.position, self._walk.chain.first
        walk = self._walk if now.st_ino == before.st_ino and now.st_size > before.st_size else _Walk(self.path)
        walk.to_the_end()
        if walk.chain.first != known[1] or walk.chain.lines < known[0].lines:
            raise StorageUnavailable(f"{self.name} was replaced, or cut off, while it was in use; start again")
        self._walk, self._looked = walk, now


def read(path: Path) -> Read:
    """The whole ledger. Blocks. Raises `Damaged` where a line is not what was written, `StorageUnavailable`."""
    walk, found = _Walk(path), Read("", [], [], [])
    for taken in walk.on():
        found.hashes.append(walk.chain.hash)
        if taken is not None:
            found.entries.append(taken[0])
            found.texts.append(taken[1])
    return Read(walk.chain.store, found.entries, found.texts, found.hashes)


class _Walk:
    """Reads a ledger line by line, later on from where it has come to; holds none of them. Every call blocks."""

    def __init__(self, path: Path, store: str | None = None) -> None:
        self._path = path
        self.chain = Chain(path.name, store)
        self.end = 0
        """Where the last whole line ends, in bytes: what follows is what a crash left of one that nobody acted on."""

    def on(self) -> Iterator[tuple[Entry, bytes] | None]:
        """The entries that follow, as they are read; None for the first line. Raises as `read`."""
        with translated(self._path.name), self._path.open("rb") as file:
            file.seek(self.end)
            while (line := file.readline(MAX_LINE)).endswith(b"\n"):
                taken = self.chain.take(line)
                self.end += len(line)
                yield taken
            if len(line) == MAX_LINE:
                raise self.chain.damaged()
        if not self.chain.lines:
            raise Damaged(f"{self._path.name} is not an erasure ledger: its first line is missing")

    def to_the_end(self) -> None:
        """Read on, and find all of it right."""
        for _ in self.on():
            pass


def _seen(status: os.stat_result) -> tuple[int, int, int]:
    """What differs where a file was written to, or is another one."""
    return status.st_ino, status.st_size, status.st_mtime_ns


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
