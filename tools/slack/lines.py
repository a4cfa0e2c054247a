"""Writes the streams that have no bytes: channels, users and messages, in batches that are known again."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from tools.sink import Sink
from tools.slack import records
from tools.slack.batches import cut
from tools.slack.checkpoint import Checkpoint
from tools.slack.ledger import Ledger
from tools.slack.progress import Progress
from tools.slack.reader import Reader
from tools.slack.report import Report
from tools.slack.source import Source

_SENDERS = 2
"""Batches on their way at once: the store writes one while the next is being read and shaped."""

_ITEMS: dict[str, Callable[[Source], Iterator[Any]]] = {
    "channels": lambda source: source.channels(),
    "users": lambda source: source.users(),
    "messages": lambda source: source.messages(),
}
_SHAPES: dict[str, Callable[[Any], bytes]] = {
    "channels": records.channel,
    "users": records.user,
    "messages": lambda item: records.message(*item),
}
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Batch:
    """So many objects of the source; `lines` are their records, None where the store has them."""

    digest: str
    count: int
    lines: Sequence[bytes] | None


@dataclass(frozen=True, slots=True)
class LineStreams:
    """Sends each batch that the ledger does not know."""

    reader: Reader
    sink: Sink
    ledger: Ledger
    report: Report
    checkpoint: Checkpoint
    progress: Progress
    source: str | None
    """What it is read from, as the ledger knows it."""

    async def run(self, stream: str) -> None:
        """Brings the whole stream into the store."""
        if (whole := self.ledger.whole(stream, self.source)) is not None:
            self.progress.add(stream, whole.records)
            return self.report.take(stream, whole)
        queue: asyncio.Queue[_Batch | None] = asyncio.Queue(_SENDERS)
        async with asyncio.TaskGroup() as group:
            for _ in range(_SENDERS):
                group.create_task(self._send(stream, queue))
            async with aclosing(self.reader.slices(lambda source: self._batches(stream, source), 1)) as slices:
                async for (batch,) in slices:
                    self.progress.add(stream, batch.count)
                    self.report.stream(stream).records += batch.count
                    if batch.lines is None:
                        self.ledger.keep(stream, batch.digest)
                    else:
                        await queue.put(batch)
            for _ in range(_SENDERS):
                await queue.put(None)
        self.ledger.finish(stream, self.source, self.report.whole(stream))

    def _batches(self, stream: str, source: Source) -> Iterator[_Batch]:
        """In the reader's thread. Only what is to be sent is shaped: that takes longer than reading it."""
        for batch in cut((_encoder.encode(item), item) for item in _ITEMS[stream](source)):
            known = self.ledger.has(stream, batch.digest)
            lines = None if known else [_SHAPES[stream](item) for item in batch.items]
            yield _Batch(batch.digest, len(batch.items), lines)

    async def _send(self, stream: str, queue: "asyncio.Queue[_Batch | None]") -> None:
        counts = self.report.stream(stream)
        while (batch := await queue.get()) is not None:
            assert batch.lines is not None
            rejections = await self.sink.ingest(stream, batch.lines)
            counts.sent += batch.count - len(rejections)
            counts.rejected += len(rejections)
            for rejection in rejections:
                self.report.failed(stream, f"{rejection.code}: {rejection.message}")
            if not rejections:
                self.ledger.add(stream, batch.digest)
            await self.checkpoint.maybe()
