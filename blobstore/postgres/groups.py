"""Group commit: writes under the same lock that come at once share one transaction, and so one fsync.

A lock is held until its transaction is durable, so without this those who need the same one would wait for one fsync
each, one after the other.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from blobstore.postgres.connection import FAILURES
from blobstore.postgres.database import Connection, Database, Work
from blobstore.postgres.errors import is_conflict, is_lost, translate
from blobstore.postgres.transaction import BY_SET

T = TypeVar("T")

MAX_GROUP = 50
"""Writes that share one commit; PostgreSQL keeps account of up to 64 savepoints in memory."""


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    work: Work[T]
    settings: str
    result: "asyncio.Future[T]"


Outcome = tuple[Any, Exception | None]


class Groups:
    """Writes to one database, by their locks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: defaultdict[str, list[_Job[Any]]] = defaultdict(list)
        self._running: dict[str, asyncio.Task[None]] = {}

    async def write(self, lock: str, work: Work[T], settings: str = BY_SET) -> T:
        """As `Database.write` with this lock; what the function raises undoes it alone and is raised here.

        `settings`: `BY_KEY` or `BY_SET`, by what its statements look for.
        Who is cancelled while others wait with it may be done all the same.
        """
        job: _Job[T] = _Job(work, settings, asyncio.get_running_loop().create_future())
        self._waiting[lock].append(job)
        if lock not in self._running:
            self._running[lock] = asyncio.create_task(self._run(lock))
        return await job.result

    async def _run(self, lock: str) -> None:
        try:
            while waiting := self._waiting.pop(lock, None):
                jobs = [job for job in waiting if not job.result.done()]
                for first in range(0, len(jobs), MAX_GROUP):
                    await self._run_group(lock, jobs[first : first + MAX_GROUP])
        finally:
            del self._running[lock]

    async def _run_group(self, lock: str, jobs: list[_Job[Any]]) -> None:
        async def run(db: Connection) -> list[Outcome]:
            if len(jobs) == 1:
                return [(await jobs[0].work(db), None)]
            return [await _in_savepoint(db, job, place > 0) for place, job in enumerate(jobs)]

        try:
            outcomes = await self._database.write(run, lock=lock, settings=jobs[0].settings if len(jobs) == 1 else "")
        except Exception as error:
            outcomes = [(None, error) for _ in jobs]
        except BaseException:  # the event loop ends
            for job in jobs:
                job.result.cancel()
            raise
        for job, (result, failure) in zip(jobs, outcomes, strict=True):
            if job.result.done():  # nobody waits any more
                continue
            if failure is None:
                job.result.set_result(result)
            else:
                job.result.set_exception(failure)


async def _in_savepoint(db: Connection, job: _Job[Any], after_another: bool) -> Outcome:
    """Do it so that it can be undone alone; the savepoint stays for the next to take its place."""
    ending = "RELEASE request; " if after_another else ""
    await db.execute(f"{ending}SAVEPOINT request; {job.settings}")
    try:
        return await job.work(db), None
    except Exception as error:
        if is_lost(error) or is_conflict(error):
            raise  # the whole transaction is gone, or must be done again
        await db.execute("ROLLBACK TO request")
        return None, translate(error) if isinstance(error, FAILURES) else error
