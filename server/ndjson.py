"""A body of NDJSON into an ingest: in batches, each stored while the next one arrives, memory bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from records.writing.ingest import Ingest
from records.writing.lines import Line, Splitter, TooLong
from server.errors import TooLarge

BATCH_LINES = 500
BATCH_BYTES = 4 << 20


async def feed(pieces: AsyncIterator[bytes], ingest: Ingest) -> None:
    """Give every line of the body to the ingest; all are settled, the good ones durable, when this returns.

    Raises `TooLarge` at a line beyond the limit, once the lines before it are settled, and whatever reading and
    storing raise. Lines that are settled then stay; sending all of them again is harmless.
    """
    splitter, batches = Splitter(), _Batches(ingest)
    try:
        async for piece in pieces:
            for line in splitter.feed(piece):
                await batches.add(line)
        for line in splitter.finish():
            await batches.add(line)
    except TooLong as error:
        await batches.finish()
        raise _too_large(error, ingest) from None
    finally:
        await batches.wait()
    await batches.finish()


class _Batches:
    """One batch being gathered and one being stored."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._lines: list[bytes] = []
        self._size = 0
        self._storing: asyncio.Task[None] | None = None

    async def add(self, line: Line) -> None:
        self._lines.append(line.raw)
        self._size += len(line.raw)
        if len(self._lines) >= BATCH_LINES or self._size >= BATCH_BYTES:
            await self._store()

    async def finish(self) -> None:
        """Store what is left, and see that all of it was."""
        if self._lines:
            await self._store()
        await self._stored()

    async def wait(self) -> None:
        """Let what is being stored come to its end, whatever that is: a request never leaves work behind."""
        if self._storing is not None:
            with suppress(Exception):  # told by `finish`, or overtaken by what went wrong first
                await asyncio.shield(self._storing)

    async def _store(self) -> None:
        await self._stored()
        lines, self._lines, self._size = self._lines, [], 0
        self._storing = asyncio.create_task(self._ingest.apply(lines))

    async def _stored(self) -> None:
        if self._storing is not None:
            await asyncio.shield(self._storing)
            self._storing = None


def _too_large(error: TooLong, ingest: Ingest) -> TooLarge:
    return TooLarge(
        f"{error}; nothing from it on was stored, what came before it was",
        members={
            "line": error.number,
            "input_index": error.index,
            "records_attempted": ingest.attempted,
            "records_accepted": ingest.accepted,
            "records_rejected": ingest.rejected,
        },
    )
