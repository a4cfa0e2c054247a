"""Events that are noted one by one, in PostgreSQL: chained in groups, each with one round trip where it can be.

A note stands before whatever a client reads, and all of an owner's follow each other. So those that come while one is
on its way wait, and go together in the next. Where the spine ended is remembered: most often no other process has
chained since, and the statement that says so hits.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from blobstore.errors import StorageUnavailable
from blobstore.postgres import Connection, Database
from records.central import About
from records.centrals.postgres.chain import CHAIN, Fresh, Joined, joined, put
from records.centrals.postgres.schema import End, OnDatabase, lock

MAX_GROUP = 256
"""Notes that share one statement; bounds how long the first of them waits."""

_REMEMBERED = 10_000
"""Ends of spines that are remembered; bounds the memory, not what works."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: Fresh
    done: asyncio.Future[None]


class Notes(OnDatabase):
    """The part of the port about what is chained by itself."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._ends: dict[str, End] = {}
        self._waiting: dict[str, list[_Waiting]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def note(self, owner: str, event: bytes, now: str, about: About) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, []).append(_Waiting((now, event, about), done))
        if owner not in self._tasks:
            # A task of its own: who began it may be cancelled, and others wait for it too.
            self._tasks[owner] = asyncio.create_task(self._work_off(owner))
        await done

    async def finish_notes(self) -> None:
        """Wait until every note that was begun is told of."""
        await asyncio.gather(*self._tasks.values())

    async def _work_off(self, owner: str) -> None:
        try:
            while waiting := self._waiting.pop(owner, None):
                group, later = waiting[:MAX_GROUP], waiting[MAX_GROUP:]
                if later:
                    self._waiting[owner] = later
                await self._tell(owner, [each for each in group if not each.done.done()])
        finally:
            del self._tasks[owner]

    async def _tell(self, owner: str, group: Sequence[_Waiting]) -> None:
        try:
            if group:
                await self._chain(owner, [each.event for each in group])
        except Exception as error:
            for each in group:
                if not each.done.done():
                    each.done.set_exception(error)
        else:
            for each in group:
                if not each.done.done():
                    each.done.set_result(None)

    async def _chain(self, owner: str, events: Sequence[Fresh]) -> None:
        known = self._ends.pop(owner, None)
        tried = None if known is None else joined(known, events)
        if tried is not None and await self._hits(tried):
            end = tried.end
        else:
            end = await self._db.write(lambda db: _locked(db, owner, events, tried))
        if len(self._ends) < _REMEMBERED:
            self._ends[owner] = end

    async def _hits(self, tried: Joined) -> bool:
        """Whether the spine ended where it was remembered to; also False when nobody said so."""
        try:
            row = await self._db.once(CHAIN, *tried.values)
        except StorageUnavailable:
            return False
        return row is not None and row[0] == 1


async def _locked(db: Connection, owner: str, events: Sequence[Fresh], tried: Joined | None) -> End:
    end = await lock(db, owner)
    if tried is not None and await _is_chained(db, tried.end):
        return tried.end  # though nobody said so
    fresh = joined(end, events)
    await put(db, fresh)
    return fresh.end


async def _is_chained(db: Connection, end: End) -> bool:
    sql = "SELECT hash FROM central.spine WHERE owner = $1 AND seq = $2"
    return bool(await db.fetchval(sql, end.owner, end.events) == end.hash)
