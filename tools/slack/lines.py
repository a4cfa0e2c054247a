"""Writes the streams that have no bytes: channels, users and messages, in batches that are known again."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from tools.sink import Sink
from tools.slack import records
from tools.slack.batches import Batch, cut
from tools.slack.checkpoint import Checkpoint
from tools.slack.ledger import Ledger
from tools.slack.progress import Progress
from tools.slack.reader import Reader
from tools.slack.report import Report
from tools.slack.source import Source

_SENDERS = 2
"""Batches on their way at once: the store writes one while the next is being read and shaped."""

LINES: dict[str, Callable[[Source], Iterator[bytes]]] = {
    "channels": lambda source: map(records.channel, source.channels()),
    "users": lambda source: map(records.user, source.users()),
    "messages": lambda source: (records.message(channel, message) for channel, message in source.messages()),
}
"""How each stream is made, one NDJSON line a record."""


@dataclass(frozen=True, slots=True)
class LineStreams:
    """Sends each batch that the ledger does not know."""

    reader: Reader
    sink: Sink
    ledger: Ledger
    report: Report
    checkpoint: Checkpoint
    progress: Progress

    async def run(self, stream: str) -> None:
        """Brings the whole stream into the store."""
        queue: asyncio.Queue[Batch | None] = asyncio.Queue(_SENDERS)
        async with asyncio.TaskGroup() as group:
            for _ in range(_SENDERS):
                group.create_task(self._send(stream, queue))
            async with aclosing(self.reader.slices(lambda source: cut(LINES[stream](source)), 1)) as slices:
                async for (batch,) in slices:
                    self.progress.add(stream, len(batch.lines))
                    self.report.stream(stream).records += len(batch.lines)
                    if not self.ledger.has(stream, batch.digest):
                        await queue.put(batch)
            for _ in range(_SENDERS):
                await queue.put(None)
        self.ledger.finish(stream)

    async def _send(self, stream: str, queue: "asyncio.Queue[Batch | None]") -> None:
        lines = self.report.stream(stream)
        while (batch := await queue.get()) is not None:
            rejections = await self.sink.ingest(stream, batch.lines)
            lines.sent += len(batch.lines) - len(rejections)
            lines.rejected += len(rejections)
            for rejection in rejections:
                self.report.failed(stream, f"{rejection.code}: {rejection.message}")
            if not rejections:
                self.ledger.add(stream, batch.digest)
            await self.checkpoint.maybe()
