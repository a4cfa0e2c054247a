"""Shows how far a hydration is: a bar on a terminal, a line now and then elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

TICK = 0.2
"""Seconds between two looks at the counts on a terminal."""

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


@dataclass(slots=True)
class Progress:
    """The counts of a run that is under way; written on the event loop, read by whoever shows them."""

    files: int = 0
    size: int = 0
    """Of the files that went through, in bytes."""
    files_planned: int = 0
    size_planned: int = 0
    records: dict[str, int] = field(default_factory=dict)

    def plan(self, files: int, size: int) -> None:
        """So many files, of about so many bytes, are to be looked at."""
        self.files_planned, self.size_planned = files, size

    def file(self) -> None:
        """One more file has come to its end."""
        self.files += 1

    def bytes(self, count: int) -> None:
        """So many more bytes of files went through."""
        self.size += count

    def add(self, stream: str, count: int) -> None:
        """So many more records of a stream went through."""
        self.records[stream] = self.records.get(stream, 0) + count

    def __str__(self) -> str:
        parts = [f"{count:,} {stream}" for stream, count in self.records.items()]
        if self.files_planned:
            parts.append(f"{self.files:,} of {self.files_planned:,} files")
            parts.append(f"{decimal(self.size)} of {decimal(self.size_planned)}")
        return ", ".join(parts) or "reading"

    @property
    def share(self) -> float:
        """Between 0 and 1: files and bytes each count half, as many small files take as long as a large one."""
        if not self.files_planned:
            return 0.0
        by_size = min(1.0, self.size / self.size_planned) if self.size_planned else 1.0
        return (self.files / self.files_planned + by_size) / 2


@asynccontextmanager
async def shown(progress: Progress, console: Console, *, quiet: bool = False) -> AsyncIterator[None]:
    """Shows `progress` on `console` until the context ends."""
    if quiet:
        yield
        return
    show = asyncio.create_task(_bar(progress, console) if console.is_terminal else _lines(progress, console))
    try:
        yield
    finally:
        show.cancel()
        with suppress(asyncio.CancelledError):
            await show


async def _bar(progress: Progress, console: Console) -> None:
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task(str(progress), total=1.0)
        while True:
            bars.update(task, completed=progress.share, description=str(progress))
            await asyncio.sleep(TICK)


async def _lines(progress: Progress, console: Console) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY)
        console.print(str(progress), highlight=False, soft_wrap=True)
