"""The erasure ledger as objects in the bucket that has the blobs: every machine sees it, no backup of a database does.

Each line is an object, named by its number: who creates the next number has written the next line. A bundle has the
lines of a whole hundred again, so that one call reads them; whoever finds a whole hundred without one makes it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from threading import Lock
from typing import Self

from blobstore.errors import Damaged, StorageUnavailable
from blobstore.notes import Notes
from records.erasure.ledger import Chain, Entry, Position, Read, first

Alone = Callable[[], AbstractAsyncContextManager[object]]
"""A block that one writer at a time, of all machines, is in."""

LINES, BUNDLES = "ledger/", "ledger-bundles/"
BUNDLE = 100
"""Lines in each."""

LARGEST_BUNDLE = 64 << 20
"""Bytes: a hundred that has more stays without a bundle, and so do those after it."""

READS = 16
"""Lines that are read at once."""

TRIES = 100
"""Times that others may be faster, before it is given up."""


class BucketLedger:
    """Adapter of `records.erasure.ledger.Ledger`. Where the notes are not exclusive, it writes in `alone`."""

    def __init__(self, notes: Notes, where: str, store: str, alone: Alone = nullcontext) -> None:
        """`where` is the address of the place, for messages."""
        self.name = f"ledger of {where}"
        self._notes = notes
        self._store = store
        self._alone = alone
        self._chain = Chain(self.name, store)
        self._lock = Lock()  # threads of this process

    @classmethod
    async def open(cls, notes: Notes, where: str, store: str, alone: Alone = nullcontext) -> Self:
        """Open it, begun if need be. Raises `WrongStore`, `Damaged`, `StorageUnavailable`."""
        ledger = cls(notes, where, store, alone)
        await asyncio.to_thread(ledger._look)
        if not ledger._chain.lines:
            async with ledger._alone_if_need_be():
                await asyncio.to_thread(ledger._begin)
        return ledger

    async def append(self, texts: Sequence[bytes]) -> None:
        if not any(map(self._chain.lacks, texts)):
            return
        async with self._alone_if_need_be():
            await asyncio.to_thread(self._write, texts)

    async def has(self, erasure: str) -> bool:
        if erasure not in self._chain.ids:
            await asyncio.to_thread(self._look)
        return erasure in self._chain.ids

    async def position(self) -> Position:
        return (await self._whole())[1].position

    async def follow(self) -> None:
        """It stays where it is."""

    async def read(self) -> Read:
        return (await self._whole())[0]

    def _alone_if_need_be(self) -> AbstractAsyncContextManager[object]:
        return nullcontext() if self._notes.exclusive else self._alone()

    async def _whole(self) -> tuple[Read, Chain]:
        return await asyncio.to_thread(read, self._notes, self.name, self._store)

    def _look(self) -> None:
        with self._lock:
            self._catch_up()

    def _begin(self) -> None:
        with self._lock:
            self._notes.create(_line(1), first(self._store))
            self._catch_up()
            if not self._chain.lines:
                raise StorageUnavailable(f"{self.name}: its first line was written, and is not given back")

    def _write(self, texts: Sequence[bytes]) -> None:
        with self._lock:
            for text in texts:
                self._write_one(text)
            self._bundle()

    def _write_one(self, text: bytes) -> None:
        """Read what others have written, and write the next line, until what was written is read."""
        for _ in range(TRIES):
            self._catch_up()
            if not self._chain.lacks(text):
                return
            self._notes.create(_line(self._chain.lines + 1), self._chain.next(text))
        raise StorageUnavailable(f"{self.name}: others write to it all the time, or it is not kept; try again")

    def _catch_up(self) -> None:
        known = self._chain
        if known.lines and not known.ends_with(self._notes.read(_line(known.lines))):
            raise StorageUnavailable(f"{self.name} was replaced, or cut off, while it was in use; start again")
        for line in _lines(self._notes, known):
            known.take(line)

    def _bundle(self) -> None:
        """Put the last whole hundred into a bundle, where it has none."""
        last = self._chain.lines // BUNDLE * BUNDLE
        if not last or self._notes.read(_bundle(last)) is not None:
            return
        lines = [self._notes.read(_line(number)) or b"" for number in range(last - BUNDLE + 1, last + 1)]
        if all(lines) and sum(map(len, lines)) <= LARGEST_BUNDLE:
            self._notes.create(_bundle(last), b"\n".join(lines))


def read(notes: Notes, name: str, store: str | None = None) -> tuple[Read, Chain]:
    """The whole ledger, and how far it has come. Blocks. Raises `Damaged`, `WrongStore`, `StorageUnavailable`."""
    chain, entries, texts, hashes = Chain(name, store), list[Entry](), list[bytes](), list[str]()
    for line in _lines(notes, chain):
        if (taken := chain.take(line)) is not None:
            entries.append(taken[0])
            texts.append(taken[1])
        hashes.append(chain.hash)
    if not chain.lines:
        raise Damaged(f"{name} is missing")
    return Read(chain.store, entries, texts, hashes), chain


def is_begun(notes: Notes) -> bool:
    """Whether there is a ledger. Blocks."""
    return notes.read(_line(1)) is not None


def _lines(notes: Notes, chain: Chain) -> Iterator[bytes]:
    """The lines that follow those that the chain has taken; it takes each before the next is asked for."""
    while chain.lines % BUNDLE == 0 and (bundle := notes.read(_bundle(chain.lines + BUNDLE))) is not None:
        lines = bundle.split(b"\n")
        if len(lines) != BUNDLE:
            raise chain.damaged()
        yield from lines
    listed = list(notes.names(LINES, _line(chain.lines) if chain.lines else ""))
    if listed:
        try:
            end = int(listed[-1].removeprefix(LINES))
        except ValueError:
            raise chain.damaged() from None
        with ThreadPoolExecutor(min(READS, len(listed)), thread_name_prefix="ledger") as pool:
            # By their numbers, not as they are listed: a number that is left out there may be there all the same.
            for line in pool.map(notes.read, map(_line, range(chain.lines + 1, end + 1))):
                if line is None:
                    raise chain.damaged()
                yield line
    while (line := notes.read(_line(chain.lines + 1))) is not None:  # a listing may lag behind
        yield line


def _line(number: int) -> str:
    return f"{LINES}{number:010}"


def _bundle(last: int) -> str:
    return f"{BUNDLES}{last:010}"
