"""Brings a Slack workspace into a store, attachments included, and tells what became of every file.

The order of writing makes every crash harmless: the bytes of a file are stored before the record that names them, the
record before the ledger that says so. A run that finds nothing new writes nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tools.sink import Sink, SinkError
from tools.slack import manifest
from tools.slack.attempt import Attempt
from tools.slack.batches import short_digest
from tools.slack.checkpoint import Checkpoint
from tools.slack.download import Downloader, open_downloader
from tools.slack.hosts import Hosts
from tools.slack.lanes import Lanes
from tools.slack.ledger import Ledger, Tried
from tools.slack.lines import LineStreams
from tools.slack.plan import Plan, Todo
from tools.slack.progress import Progress
from tools.slack.reader import Reader, open_reader
from tools.slack.recorder import Recorder
from tools.slack.report import Report
from tools.slack.source import FileEntry

_LAST_WORDS = 15.0
"""Seconds that a run which is being stopped has for recording what is already uploaded."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to hydrate; sizes in bytes."""

    connector_id: str = manifest.CONNECTOR_ID
    slack_token: str | None = None
    slack_hosts: Hosts = field(default_factory=Hosts)
    download: bool = True
    max_size: int | None = None
    """Of a file to be downloaded."""
    keep_deleted: bool = False
    full: bool = False
    uploads: int = 16
    """Many, for they share what makes them durable."""
    downloads: int = 2

    @property
    def judging(self) -> bytes:
        """Those by which it is decided what becomes of a file; of the token, whether there is one."""
        hosts = sorted(self.slack_hosts.allowed)
        return repr((self.download, bool(self.slack_token), hosts, self.max_size, self.keep_deleted)).encode()


async def hydrate(path: Path, sink: Sink, options: Options, progress: Progress | None = None) -> Report:
    """Writes the workspace at `path` to `sink`; again is harmless and cheap, after a crash it goes on.

    Raises `SourceError` when `path` is no readable workspace, `SinkError` when the store cannot be written to. When
    it is cancelled, it records what is already uploaded, for a few seconds, before it ends.
    """
    async with open_reader(path) as reader, _downloader(options) as downloader:
        await sink.register(manifest.load(options.connector_id))
        ledger = Ledger(await sink.load_state(), full=options.full)
        digest = await reader.ask(lambda source: source.digest())
        run = _Run(reader, sink, options, ledger, downloader, progress or Progress(), digest)
        try:
            return await run.whole()
        except BaseExceptionGroup as group:
            raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    """What made a group of tasks end; the others only followed."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def _downloader(options: Options) -> AsyncIterator[Downloader | None]:
    if not options.download:
        yield None
        return
    async with open_downloader(options.slack_hosts, token=options.slack_token, max_size=options.max_size) as downloader:
        yield downloader


class _Run:
    """One run over an opened source and an opened sink."""

    def __init__(
        self,
        reader: Reader,
        sink: Sink,
        options: Options,
        ledger: Ledger,
        downloader: Downloader | None,
        progress: Progress,
        digest: bytes | None,
    ) -> None:
        self._reader = reader
        self._report = Report()
        self._progress = progress
        self._checkpoint = Checkpoint(ledger, sink)
        self._recorder = Recorder(sink, ledger, self._report, self._checkpoint, progress)
        self._ledger = ledger
        lines = None if digest is None else short_digest(digest)
        self._lines = LineStreams(reader, sink, ledger, self._report, self._checkpoint, progress, lines)
        self._source = None if digest is None else short_digest(digest, reader.source.listed, options.judging)
        self._plan = Plan(ledger, downloader.means if downloader else _no_means, options.keep_deleted, options.max_size)
        attempt = Attempt(reader.source, sink, downloader, options.keep_deleted, progress.bytes)
        self._lanes = Lanes(
            reader, self._plan, attempt, self._recorder, self._report, options.uploads, options.downloads
        )

    async def whole(self) -> Report:
        try:
            for stream in ("channels", "users"):
                await self._lines.run(stream)
            async with asyncio.TaskGroup() as beside:  # files wait for disks and networks, messages for a core
                beside.create_task(self._files())
                beside.create_task(self._lines.run("messages"))
            self._report.unusable = await self._reader.ignored(lambda source: source.unusable)
            await self._checkpoint.save()
        except BaseException as error:
            if not isinstance(_first(error), SinkError):
                await self._last_words()
            raise
        return self._report

    async def _files(self) -> None:
        """Looks at all files once to know what there is to do, then does it: often nothing."""
        if (whole := self._ledger.whole("files", self._source)) is not None:
            return self._report.take("files", whole)
        todo = size = 0
        async with aclosing(self._reader.slices(lambda source: self._plan.split(source.files()), 256)) as slices:
            async for slice_ in slices:
                for item in slice_:
                    if isinstance(item, Todo):
                        todo += 1
                        size += item.size
                    else:
                        file_id, settled = item
                        self._report.file(file_id, settled.status, settled.size)
                        self._report.stream("files").records += 1
        self._report.strays = await self._reader.ignored(lambda source: source.strays)
        self._progress.plan(todo, size)
        if todo:
            await self._lanes.run()
        self._ledger.finish("files", self._source, self._report.whole("files"))

    async def _last_words(self) -> None:
        with suppress(SinkError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._recorder.rescue()
                await self._checkpoint.save()


def _no_means(_: FileEntry) -> Tried:
    return Tried.NOTHING
