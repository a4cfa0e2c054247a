"""One try at a transaction, and what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

from blobstore.errors import StorageUnavailable
from blobstore.postgres.advisory import Advisory
from blobstore.postgres.connection import FAILURES, Connection, is_gone, throw_away

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

ROLLBACK_TIMEOUT = 5.0
"""Seconds after which a connection that does not roll back is thrown away."""

OUTCOME_WAIT = 5.0
"""Seconds to wait for a COMMIT that PostgreSQL is still busy with after its client was lost."""

_PLANS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")

BY_KEY = "; ".join(("SET LOCAL plan_cache_mode = force_generic_plan", *(f"SET LOCAL {each} = off" for each in _PLANS)))
"""Settings for statements that find single rows by their keys: their plans are made once and kept.

To plan such a statement takes several times as long as to run it. A plan that is kept must also be right when the table
was empty when it was made: nothing is left to choose but indexes.
"""

BY_SET = "; ".join(("SET LOCAL plan_cache_mode = force_custom_plan", *(f"SET LOCAL {each} = on" for each in _PLANS)))
"""Settings for statements about many rows at once, whose plans depend on how many; a session begins with them."""


class Isolation(StrEnum):
    """How much of others' commits a transaction sees while it runs."""

    READ_COMMITTED = "READ COMMITTED"  # each statement sees what is committed when it begins
    REPEATABLE_READ = "REPEATABLE READ"  # one moment; fails, to be repeated, where a row to write has changed since
    SERIALIZABLE = "SERIALIZABLE"


class Attempt(Generic[T]):
    """One try at a transaction that writes.

    `number`: PostgreSQL's own for it, known before anything is done. `committing`: COMMIT may have been sent.
    """

    def __init__(
        self, work: Work[T], isolation: Isolation, locks: Sequence[Advisory], timeout: float, settings: str
    ) -> None:
        self._work = work
        self._settings = settings
        self._isolation = isolation
        self._locks = locks
        self._timeout = timeout
        self.number = ""
        self.committing = False
        self.results: list[T] = []

    async def run(self, db: Connection) -> T:
        """Begin, do it, commit."""
        try:
            await self._begin(db)
            self.results = [await self._work(db)]
            self.committing = True
            answer = await db.execute("COMMIT")
        except BaseException:
            await undo(db)
            raise
        if answer != "COMMIT":
            raise RuntimeError("an error within a transaction was passed over")  # PostgreSQL rolled it back
        return self.results[0]

    async def _begin(self, db: Connection) -> None:
        # Two round trips; the second takes the locks, too: statements after it see what others did under them.
        await db.execute(
            f"BEGIN ISOLATION LEVEL {self._isolation} READ WRITE;"
            f" SET LOCAL statement_timeout = {millis(self._timeout)}; {self._settings}"
        )
        takes = (f", {lock.function}(${place})" for place, lock in enumerate(self._locks, 1))
        sql = f"SELECT pg_current_xact_id()::text{''.join(takes)}"
        self.number = await db.fetchval(sql, *(lock.number for lock in self._locks))


async def snapshot(db: Connection, work: Work[T], timeout: float) -> T:
    """Do it on one moment's view, without writing."""
    try:
        await db.execute(
            f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {millis(timeout)}"
        )
        return await work(db)
    finally:
        await undo(db)


async def undo(db: Connection) -> None:
    """Roll back; a connection that does not do so is closed, and PostgreSQL rolls back by itself."""
    if is_gone(db):
        return
    try:
        await db.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT)
    except FAILURES:
        throw_away(db)


async def committed(db: Connection, number: str) -> bool:
    """Whether the transaction of this number was committed, though nobody heard so.

    Raises `StorageUnavailable` where PostgreSQL does not know, or is not done with it in `OUTCOME_WAIT` seconds.
    """
    deadline = asyncio.get_running_loop().time() + OUTCOME_WAIT
    while (status := await db.fetchval(_STATUS, number)) == "in progress":
        # Either COMMIT never got there, or it is being worked on: in both cases ending the session ends the doubt.
        await db.fetch(_END, number)
        if asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(0.05)
    if status in ("committed", "aborted"):
        return bool(status == "committed")
    raise StorageUnavailable("PostgreSQL does not say whether a transaction was committed")


_STATUS = "SELECT pg_xact_status($1::text::xid8)"

_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = $1::text::xid8::xid"


def millis(seconds: float) -> int:
    """As PostgreSQL's settings want it."""
    return max(1, int(seconds * 1000))
