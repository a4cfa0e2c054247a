"""Brings one file to its end: judges what the source holds, stores it, or fetches it."""

import asyncio
import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from blobstore.client.answers import Stored
from blobstore.client.content import PIECE, Content
from tools.sink import Refused, Sink
from tools.slack.download import Downloader, DownloadFailed
from tools.slack.ledger import Settled, Tried
from tools.slack.plan import Todo
from tools.slack.records import Hydration
from tools.slack.sniff import HEAD, media_type
from tools.slack.source import FileEntry, Located, Source
from tools.slack.spool import Spool
from tools.slack.status import (
    WORTH_FETCHING,
    Status,
    Verdict,
    before_bytes,
    better,
    declared_size,
    missing,
    of_bytes,
)

UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What reading a file or a zip member may raise; the last where zip's compression or encryption is not known."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one file ended. With a `failure`, in words, a later run may do better: it is not settled."""

    todo: Todo
    hydration: Hydration
    tried: Tried = Tried.NOTHING
    failure: str | None = None

    @property
    def settled(self) -> Settled:
        """The outcome as the ledger keeps it."""
        blob = self.hydration.blob
        size = blob.size_bytes if blob else declared_size(self.todo.entry.described) or 0
        return Settled(self.hydration.verdict.status, self.todo.digest, size, self.tried)


@dataclass(frozen=True, slots=True)
class _Found:
    """Bytes that can be read again: their number, their beginning, and all of them."""

    size: int
    head: bytes
    content: Content


@dataclass(slots=True)
class Attempt:
    """The steps for one file; any number of files may be under way at once."""

    source: Source
    sink: Sink
    downloader: Downloader | None
    keep_deleted: bool = False
    on_bytes: Callable[[int], None] = lambda _: None

    async def held(self, todo: Todo) -> Outcome | Verdict:
        """The outcome from what the source holds, or its verdict where a download may cure it: then call `fetch`."""
        entry = todo.entry
        verdict = before_bytes(entry, keep_deleted=self.keep_deleted)
        if verdict is None and entry.located is None:
            verdict = missing(entry)
        elif verdict is None and entry.located is not None:
            try:
                found = await asyncio.to_thread(self._look, entry.located, asyncio.get_running_loop())
            except UNREADABLE as error:
                return _unreadable(todo, error)
            if isinstance(found.content, bytes):
                self.on_bytes(found.size)
            verdict = of_bytes(entry.described, found.size, found.head)
            if verdict.status is Status.HYDRATED:
                return await self._store(todo, verdict, found)
        assert verdict is not None
        if verdict.status in WORTH_FETCHING and self._means(entry):
            return verdict
        return Outcome(todo, Hydration(verdict))

    async def fetch(self, todo: Todo, held: Verdict) -> Outcome:
        """The outcome of a download, for a file whose held copy is as `held` says."""
        assert self.downloader is not None
        tried = self._means(todo.entry)
        try:
            async with self.downloader.fetch(todo.entry) as fetched:
                if isinstance(fetched, Verdict):
                    return Outcome(todo, Hydration(better(held, fetched)), tried)
                return await self._keep(todo, held, fetched, tried)
        except DownloadFailed as error:
            verdict = Verdict(held.status, f"{held.note}; not downloaded: {error}" if held.note else str(error))
            return Outcome(todo, Hydration(verdict), tried, f"not downloaded: {error}")

    async def _keep(self, todo: Todo, held: Verdict, spool: Spool, tried: Tried) -> Outcome:
        verdict = better(held, of_bytes(todo.entry.described, spool.size, spool.head))
        if verdict.status is not Status.HYDRATED:
            return Outcome(todo, Hydration(verdict), tried)
        return await self._store(todo, verdict, _Found(spool.size, spool.head, spool.content), tried)

    def _means(self, entry: FileEntry) -> Tried:
        return self.downloader.means(entry) if self.downloader else Tried.NOTHING

    def _look(self, located: Located, loop: asyncio.AbstractEventLoop) -> _Found:
        """In a thread: the beginning, and for most files all of it, with one opening."""

        def on_bytes(count: int) -> None:
            loop.call_soon_threadsafe(self.on_bytes, count)

        def again() -> io.BufferedReader:
            return io.BufferedReader(_Counted(self.source.open(located), on_bytes))

        with self.source.open(located) as file:
            first = file.read(PIECE)
        if len(first) < PIECE:
            return _Found(len(first), first[:HEAD], first)
        return _Found(located.size, first[:HEAD], again)

    async def _store(self, todo: Todo, verdict: Verdict, found: _Found, tried: Tried = Tried.NOTHING) -> Outcome:
        entry = todo.entry
        try:
            blob: Stored = await self.sink.upload(
                found.content,
                size=found.size,
                stream="files",
                record_key=entry.id,
                mime_type=media_type(entry.described, found.head),
            )
        except UNREADABLE as error:
            return _unreadable(todo, error)
        except Refused as error:
            refusal = Verdict(Status.MISSING, f"the store refused the bytes: {error}")
            return Outcome(todo, Hydration(refusal), tried, str(error))
        return Outcome(todo, Hydration(verdict, blob), tried)


class _Counted(io.RawIOBase):
    """A file that tells how many bytes were read of it."""

    def __init__(self, file: io.BufferedReader, on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._on_bytes = on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._on_bytes(count)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _unreadable(todo: Todo, error: BaseException) -> Outcome:
    # Names of local files are the reader's business, not the record's.
    reason = getattr(error, "strerror", None) or type(error).__name__
    verdict = Verdict(Status.MISSING, f"the source's copy cannot be read: {reason}")
    return Outcome(todo, Hydration(verdict), Tried.NOTHING, verdict.note)
