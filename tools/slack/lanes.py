"""Moves files through their two lanes at once: what the source holds, and what must be downloaded.

Files are taken in the source's order by a fixed number of workers, so that a large one waits for no more than its
turn, and holds up one worker only. Downloads have a lane of their own: waiting for Slack never stops local files.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass

from tools.slack.attempt import Attempt, Outcome
from tools.slack.plan import Plan, Todo
from tools.slack.reader import Reader
from tools.slack.recorder import Recorder
from tools.slack.report import Report
from tools.slack.source import Source
from tools.slack.status import Verdict

_AHEAD = 64
"""Files that are read ahead of the workers; each is one Slack object in memory."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """`uploads` local files and `downloads` remote ones are under way at once."""

    reader: Reader
    plan: Plan
    attempt: Attempt
    recorder: Recorder
    report: Report
    uploads: int
    downloads: int

    async def run(self) -> None:
        """Brings every file that the plan does not know as settled to its end, and records it."""
        held: asyncio.Queue[Todo | None] = asyncio.Queue(_AHEAD)
        remote: asyncio.Queue[tuple[Todo, Verdict] | None] = asyncio.Queue(_AHEAD)
        async with asyncio.TaskGroup() as recording:
            recording.create_task(self.recorder.run())
            async with asyncio.TaskGroup() as fetching:
                for _ in range(self.downloads):
                    fetching.create_task(self._fetch(remote))
                async with asyncio.TaskGroup() as storing:
                    storing.create_task(self._feed(held))
                    for _ in range(self.uploads):
                        storing.create_task(self._store(held, remote))
                for _ in range(self.downloads):
                    await remote.put(None)
            await self.recorder.finish()

    async def _feed(self, held: "asyncio.Queue[Todo | None]") -> None:
        async with aclosing(self.reader.slices(self._todos, _AHEAD)) as slices:
            async for slice_ in slices:
                for todo in slice_:
                    await held.put(todo)
        for _ in range(self.uploads):
            await held.put(None)

    def _todos(self, source: Source) -> Iterator[Todo]:
        for item in self.plan.split(source.files()):
            # Nothing is done twice where an archive changes while it is read.
            if isinstance(item, Todo) and not self.report.has(item.entry.id):
                yield item

    async def _store(
        self, held: "asyncio.Queue[Todo | None]", remote: "asyncio.Queue[tuple[Todo, Verdict] | None]"
    ) -> None:
        while (todo := await held.get()) is not None:
            result = await self.attempt.held(todo)
            if isinstance(result, Outcome):
                await self.recorder.put(result)
            else:
                await remote.put((todo, result))

    async def _fetch(self, remote: "asyncio.Queue[tuple[Todo, Verdict] | None]") -> None:
        while (item := await remote.get()) is not None:
            await self.recorder.put(await self.attempt.fetch(*item))
