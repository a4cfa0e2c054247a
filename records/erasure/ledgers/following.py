"""The erasure ledger where the bytes are: in the directory while those are files, in the bucket while they are in S3.

Where new bytes go may change at any moment. So it is looked before each entry, and again after it: an entry that went
to where the ledger was is put where it is as well. Whoever finds it elsewhere first carries over what was written
before, word for word, so that positions which snapshots remember stay good. A bucket that it left says where it went
(`moves`): a restore must not take what is left there for all that was erased.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Self

from blobstore.errors import StorageUnavailable, WrongStore
from blobstore.notes import Notes
from records.erasure.ledger import NAME, Ledger, Position, Read
from records.erasure.ledgers import moves
from records.erasure.ledgers.bucket import Alone, BucketLedger, is_begun
from records.erasure.ledgers.file import FileLedger, read

Look = Callable[[], Awaitable[Sequence[Notes | None]]]
"""As `Backend.notes`."""


class FollowingLedger:
    """Adapter of `records.erasure.ledger.Ledger`, above the ledger of each place."""

    def __init__(self, path: Path, store: str, look: Look, alone: Alone) -> None:
        self._path = path
        self._store = store
        self._look = look
        self._alone = alone
        self._known: dict[str | None, Ledger] = {}
        self._lock = asyncio.Lock()
        self._here: Ledger | None = None
        self._said_of, self._said_in = "", set[str]()

    @classmethod
    async def open(cls, directory: Path, store: str, look: Look, alone: Alone) -> Self:
        """Open it where it is now, begun if need be. Raises `WrongStore`, `Damaged`, `StorageUnavailable`."""
        ledger = cls(directory / NAME, store, look, alone)
        await ledger._follow()
        return ledger

    @property
    def name(self) -> str:
        return NAME if self._here is None else self._here.name

    async def append(self, texts: Sequence[bytes]) -> None:
        here = await self._follow()
        while True:
            try:
                await here.append(texts)
            except StorageUnavailable:
                before, here = here, await self._follow()
                if here is before:
                    raise
                continue
            before, here = here, await self._follow()
            if here is before:
                return

    async def has(self, erasure: str) -> bool:
        return await (await self._follow()).has(erasure)

    async def position(self) -> Position:
        return await (await self._follow()).position()

    async def read(self) -> Read:
        return await (await self._follow()).read()

    async def follow(self) -> None:
        await self._follow()

    async def _follow(self) -> Ledger:
        """The ledger of the place that takes in what is new, with all that was written to those of others."""
        async with self._lock:
            places = await self._look()
            here = await self._at(places[0])
            if here is not self._here or len(places) > 1:
                await self._carry_over(here, places[1:])
                await self._say(places)
                self._here = here
            return here

    async def _at(self, notes: Notes | None) -> Ledger:
        where = None if notes is None else notes.where
        if where not in self._known:
            if notes is None:
                self._known[where] = await FileLedger.open(self._path, self._store)
            else:
                self._known[where] = await BucketLedger.open(notes, notes.where, self._store, self._alone)
        return self._known[where]

    async def _carry_over(self, here: Ledger, others: Sequence[Notes | None]) -> None:
        for notes in others:
            if notes is not None and await asyncio.to_thread(is_begun, notes):
                await here.append((await (await self._at(notes)).read()).texts)
        if isinstance(here, FileLedger):
            return
        left = await asyncio.to_thread(self._left_in_file)
        if left is not None:
            await here.append(left.texts)
            self._known.pop(None, None)
            # Whoever still writes there finds it gone, and looks again.
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def _say(self, places: Sequence[Notes | None]) -> None:
        """Say where the ledger is now, there and where it was; once, for as long as it stays there."""
        where = moves.FILES if places[0] is None else places[0].where
        if self._said_of != where:
            self._said_of, self._said_in = where, set()
        for notes in places:
            if notes is None or notes.where in self._said_in:
                continue
            if await asyncio.to_thread(is_begun, notes):
                await asyncio.to_thread(moves.say, notes, where)
                self._said_in.add(notes.where)

    def _left_in_file(self) -> Read | None:
        """What the directory's file has; None where there is none, or it went this very moment, being carried over."""
        try:
            left = read(self._path)
        except StorageUnavailable:
            if self._path.exists():
                raise
            return None
        if left.store != self._store:
            raise WrongStore(f"{NAME} is the erasure ledger of another store")
        return left
