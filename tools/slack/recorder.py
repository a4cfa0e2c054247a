"""Writes the records of files whose bytes are stored, and notes in the ledger what the store has acknowledged."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from tools.sink import Sink
from tools.slack import records
from tools.slack.attempt import Outcome
from tools.slack.batches import MAX_BYTES, MAX_ITEMS
from tools.slack.checkpoint import Checkpoint
from tools.slack.ledger import Ledger
from tools.slack.plan import changes_nothing, keeps_stored_bytes
from tools.slack.progress import Progress
from tools.slack.report import NOT_RECORDED, Report

LINGER = 1.0
"""Seconds that a record waits for others: what is uploaded and not yet recorded is sent again after a crash."""


@dataclass(slots=True)
class Recorder:
    """Takes outcomes one by one, sends their records in batches. `run` is one task."""

    sink: Sink
    ledger: Ledger
    report: Report
    checkpoint: Checkpoint
    progress: Progress
    _queue: "asyncio.Queue[Outcome | None]" = field(default_factory=lambda: asyncio.Queue(MAX_ITEMS))
    _held: list[tuple[bytes, Outcome]] = field(default_factory=list)
    _size: int = 0

    async def put(self, outcome: Outcome) -> None:
        """Hand over one outcome; waits while the store is behind."""
        await self._queue.put(outcome)

    async def finish(self) -> None:
        """No outcome will come any more: `run` ends when it has sent the last."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Sends until `finish`."""
        due = monotonic() + LINGER
        while True:
            try:
                async with asyncio.timeout(max(0.0, due - monotonic()) if self._held else None):
                    outcome = await self._queue.get()
            except TimeoutError:
                await self._flush()
                continue
            if outcome is None:
                return await self._flush()
            if not self._held:
                due = monotonic() + LINGER
            await self._take(outcome)

    async def rescue(self) -> None:
        """After `run` was cancelled: send what it left behind, so that nothing uploaded is lost."""
        while not self._queue.empty():
            outcome = self._queue.get_nowait()
            if outcome is not None:
                self._hold(outcome)
        await self._flush()

    async def _flush(self) -> None:
        while self._held:
            sending = self._held[:MAX_ITEMS]
            rejected = {r.index: r for r in await self.sink.ingest("files", [line for line, _ in sending])}
            self._held = self._held[len(sending) :]
            for index, (_, outcome) in enumerate(sending):
                refusal = rejected.get(index)
                self._recorded(outcome, f"{refusal.code}: {refusal.message}" if refusal else None)
        self._size = 0
        await self.checkpoint.maybe()

    async def _take(self, outcome: Outcome) -> None:
        self._hold(outcome)
        if len(self._held) >= MAX_ITEMS or self._size >= MAX_BYTES:
            await self._flush()

    def _hold(self, outcome: Outcome) -> None:
        self.progress.file()
        if outcome.hydration.blob is not None:
            self.report.sent_blob(outcome.hydration.blob.size_bytes)
        earlier, now = outcome.todo.earlier, outcome.settled
        if keeps_stored_bytes(earlier, now.status):
            assert earlier is not None
            return self._end(outcome, earlier.status, earlier.size)
        if changes_nothing(earlier, now):
            return self._end(outcome, now.status, now.size)
        line = records.file(outcome.todo.entry, outcome.hydration)
        self._held.append((line, outcome))
        self._size += len(line)

    def _recorded(self, outcome: Outcome, refusal: str | None) -> None:
        lines = self.report.stream("files")
        now = outcome.settled
        if refusal is not None:
            lines.rejected += 1
            self.report.failed(outcome.todo.entry.id, refusal)
            return self._end(outcome, NOT_RECORDED, now.size)
        lines.sent += 1
        if outcome.failure is None:
            self.ledger.settle(outcome.todo.entry.id, now)
        self._end(outcome, now.status, now.size)

    def _end(self, outcome: Outcome, status: str, size: int) -> None:
        self.report.stream("files").records += 1
        self.report.file(outcome.todo.entry.id, status, size)
        if outcome.failure is not None:
            self.report.failed(outcome.todo.entry.id, outcome.failure)
