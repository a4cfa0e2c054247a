"""Locks among all machines of a store whose central part is in a database; of one machine where it is in files.

The lock of a file comes first. It keeps the processes of one machine apart, and the system takes it from one that dies,
so a row of one's own host that is found beside it is a dead process's. The row keeps other hosts apart. It expires
after `TTL` seconds and is renewed all the time; who could not renew it, however often it tried, takes it for lost
`MARGIN` seconds before that.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress

from blobstore.errors import BlobError
from records.locking.files import FileLocks
from records.locking.rows import Row, Rows
from records.locks import TAKEN_OVER, Held

TTL = 30.0
"""Seconds after which the locks of a machine that is gone are free."""

RENEW, TRY, AGAIN = 10.0, 4.0, 1.0
"""Seconds between renewals, for one try, and between a try that failed and the next: three fit."""

MARGIN = 5.0
"""Seconds that a holder has to stop in."""


log = logging.getLogger(__name__)


class _Mine:
    """A lock that this process holds. `shared`: it has a row, or is about to; `asked`: it may have one; `there`: it had
    one when the database was last asked, so that a renewal which does not find it means that it was lost."""

    def __init__(self, row: Row, file: Held) -> None:
        self.row = row
        self.file = file
        self.held: Held
        self.shared = self.asked = self.there = False
        self._ends: asyncio.TimerHandle | None = None

    def lasts(self, since: float) -> None:
        """The row was there at this moment of the loop's clock."""
        self.ends_not()
        self.there = True
        self._ends = asyncio.get_running_loop().call_at(since + TTL - MARGIN, self.held.lose)

    def ends_not(self) -> None:
        if self._ends is not None:
            self._ends.cancel()


class SharedLocks:
    """Adapter of `records.locks.Locks`."""

    def __init__(self, files: FileLocks, rows: Callable[[], Rows | None], host: str) -> None:
        """`rows`: where they are at this moment; None while the store is this machine's alone."""
        self._files = files
        self._rows = rows
        self._host = host
        self._mine: dict[str, _Mine] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._others: dict[str, bytes] = {}
        self._others_at = -1e9
        self._asking = asyncio.Lock()

    @property
    def shared(self) -> bool:
        return self._rows() is not None

    async def take(self, name: str, detail: bytes = b"") -> Held | None:
        await self._share()
        file = await self._files.take(name, detail)
        if file is None:
            return None
        mine = _Mine(Row(name, self._host, secrets.token_hex(8), detail), file)
        mine.held = Held(name, lambda: self._let_go(mine))
        self._mine[mine.row.holder] = mine
        try:
            if (rows := self._rows()) is not None:
                await self._add_row(rows, mine)
        except BaseException:
            await mine.held.release()
            raise
        if mine.held.lost:
            await mine.held.release()
            return None
        return mine.held

    async def is_held(self, name: str, age: float = 0.0) -> bool:
        await self._share()
        if await self._files.is_held(name):
            return True
        rows = self._rows()
        return rows is not None and name in await self._elsewhere(rows, age)

    async def held(self, *prefixes: str) -> dict[str, bytes]:
        await self._share()
        rows = self._rows()
        others = {} if rows is None else await self._elsewhere(rows, 0.0)
        return {name: others[name] for name in others if name.startswith(prefixes)} | await self._files.held(*prefixes)

    async def close(self) -> None:
        await asyncio.gather(*(mine.held.release() for mine in list(self._mine.values())))
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None

    async def _elsewhere(self, rows: Rows, age: float) -> dict[str, bytes]:
        """All that other hosts hold; those who ask at once ask together."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._others_at >= age:
            async with self._asking:
                if (now := loop.time()) - self._others_at >= age:
                    self._others = {row.name: row.detail for row in await rows.others(self._host)}
                    self._others_at = now  # when it was asked, not when it was answered
        return self._others

    async def _share(self) -> None:
        """Have a row also for each lock that was taken before the store came into a database."""
        rows = self._rows()
        if rows is not None:
            for mine in [each for each in self._mine.values() if not each.shared]:
                await self._add_row(rows, mine)

    async def _add_row(self, rows: Rows, mine: _Mine) -> None:
        mine.shared = mine.asked = True
        since = asyncio.get_running_loop().time()
        try:
            if await rows.take(mine.row, TTL):
                mine.lasts(since)
            else:
                mine.held.lose()
        except BaseException:  # of who is cut off nobody knows whether it is there
            mine.shared = False
            raise
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())

    async def _let_go(self, mine: _Mine) -> None:
        mine.ends_not()
        self._mine.pop(mine.row.holder, None)
        rows = self._rows()
        try:
            if mine.asked and rows is not None:
                with suppress(BlobError, TimeoutError):  # it expires
                    async with asyncio.timeout(TRY):
                        await asyncio.shield(rows.drop(mine.row.holder))
        finally:
            # Last: until then nobody of this host can have the name, and a row of it under another holder.
            await mine.file.release()

    async def _renew(self) -> None:
        pause = RENEW
        while True:
            await asyncio.sleep(pause)
            pause = RENEW if await self._is_renewed() else AGAIN

    async def _is_renewed(self) -> bool:
        try:
            async with asyncio.timeout(TRY):
                await self._renew_once()
        except (BlobError, TimeoutError):
            return False
        except Exception:
            log.exception("locks were not renewed")  # whatever it is, they are lost in time
            return False
        return True

    async def _renew_once(self) -> None:
        rows = self._rows()
        if rows is None:  # the store has come into files
            for each in self._mine.values():
                each.shared = each.there = False
                each.ends_not()
            return
        mine = [each for each in self._mine.values() if each.there]
        if mine:
            since = asyncio.get_running_loop().time()
            renewed = await rows.renew([each.row.holder for each in mine], TTL)
            for each in mine:
                if each.row.holder not in renewed:
                    each.held.lose(TAKEN_OVER)
                elif each.row.holder in self._mine:
                    each.lasts(since)
