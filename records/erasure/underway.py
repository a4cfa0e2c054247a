"""Erasures under way: tasks that outlive who began them, and what those still take that were begun."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from records.central import Central, ErasureJob, Owner
from records.erasure.report import Report
from records.model import Partition

T = TypeVar("T")

Settled = Callable[[Owner, Partition], Awaitable[None]]
"""What a write waits for before it begins (`Erasures.settled`)."""


class Tasks:
    """Tasks that go on when nobody waits for them any more, until they are done or all of them are ended."""

    def __init__(self) -> None:
        self._tasks = set[asyncio.Task[Any]]()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin; who waits for the task must not cancel it (`asyncio.shield`, `asyncio.wait`)."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        """Cut off what is under way, and wait until it is: files that it works on may be closed then."""
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def unfinished(central: Central, owner: Owner) -> list[tuple[ErasureJob, Report]]:
    """The owner's erasures that were begun and are not done, oldest first."""
    jobs = [job for job in await central.unfinished_erasures() if job.owner == owner.id]
    return [(job, msgspec.json.decode(job.target, type=Report)) for job in jobs]


def takes(report: Report, place: Partition) -> bool:
    """Whether the erasure still takes a stream there, or a record of it.

    What goes as a whole is none of it: that takes no writes any more.
    """
    covered = report.covered
    is_there = (covered.connector, covered.stream) == (place.connector, place.stream)
    return not report.gone and is_there and place.instance in covered.instances
