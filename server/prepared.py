"""Exports that a page has planned and that wait to be fetched: planning takes long, and is done once."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from blobstore.errors import BlobError
from records.bag.export import Export, Exports
from records.bag.plan import Progress
from records.central import Owner

SECONDS = 60.0
"""For so long one is kept that nobody fetches, and after the last time that somebody did."""

MOST = 2
"""Exports that wait while nobody fetches them: each is one of the few that a process has open at once."""

TICK = 0.5
"""Seconds between two looks whether somebody still fetches it."""


class Waiting:
    """An export of one owner that is planned, then kept for a while. `ready` raises what planning it raised."""

    def __init__(self, exports: Exports, owner: Owner, connector: str | None) -> None:
        self.id = secrets.token_urlsafe(12)
        self.owner = owner.id
        self.connector = connector
        self.progress = Progress()
        self.ready: asyncio.Future[Export] = asyncio.get_running_loop().create_future()
        self.users = 0
        self.until = 0.0
        """Kept so long; 0: it is not there to be fetched, not yet or not any more."""
        self.task = asyncio.create_task(self._keep(exports, owner))

    async def _keep(self, exports: Exports, owner: Owner) -> None:
        try:
            async with exports.open(owner, self.connector, progress=self.progress) as export:
                self.until = time.monotonic() + SECONDS
                if not self.ready.cancelled():
                    self.ready.set_result(export)
                while (left := max(self.until - time.monotonic(), TICK if self.users else 0.0)) > 0:  # noqa: ASYNC110 - time alone ends it
                    await asyncio.sleep(left)
                self.until = 0.0
        except Exception as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)
            self.ready.exception()  # who asked may have gone


class Prepared:
    """Those of this process. Another process does not know them, and plans anew."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}

    @asynccontextmanager
    async def making(self, exports: Exports, owner: Owner, connector: str | None) -> AsyncIterator[Waiting]:
        """Begin to plan one; where the block raises it is given up.

        What was made for the owner before and nobody fetches is let go of, and of others' all but the last: each takes
        room, and can be planned anew.
        """
        idle = self._idle()
        others = [each for each in idle if each.owner != owner.id]
        for former in [each for each in idle if each not in others[1 - MOST :]]:
            if not former.users:  # somebody may have begun to fetch it meanwhile
                await _end(former)
        await self.make_room(exports)
        waiting = Waiting(exports, owner, connector)
        self._waiting[waiting.id] = waiting
        waiting.task.add_done_callback(lambda _: self._waiting.pop(waiting.id, None))
        try:
            yield waiting
        except BaseException:
            if not waiting.users:
                await _end(waiting)
            raise

    @asynccontextmanager
    async def taken(self, id: str, owner: Owner, connector: str | None) -> AsyncIterator[Export | None]:
        """The one of that id, where it is the owner's and still good; it is kept for the length of the block."""
        waiting = self._waiting.get(id)
        if waiting is None or (waiting.owner, waiting.connector) != (owner.id, connector) or not waiting.until:
            yield None
            return
        waiting.users += 1
        try:
            export = waiting.ready.result()
            yield export if await _is_good(export) else None
        finally:
            waiting.users -= 1
            waiting.until = time.monotonic() + SECONDS

    async def make_room(self, exports: Exports) -> None:
        """Where as many are open as may be, let go of one that nobody fetches: the one that was left first."""
        if exports.is_full and (idle := self._idle()):
            await _end(min(idle, key=lambda each: each.until))

    def _idle(self) -> list[Waiting]:
        return [each for each in self._waiting.values() if each.until and not each.users]

    async def close(self) -> None:
        """Let go of all."""
        for waiting in list(self._waiting.values()):
            await _end(waiting)


PREPARED = web.AppKey("prepared", Prepared)
"""Those of this server."""


async def _is_good(export: Export) -> bool:
    """An erasure takes away what it covers from every export."""
    try:
        await export.read(0, 1)
    except BlobError:
        return False
    return True


async def _end(waiting: Waiting) -> None:
    waiting.until = 0.0  # nobody begins to fetch it any more
    waiting.ready.cancel()
    waiting.task.cancel()
    await asyncio.wait([waiting.task])
