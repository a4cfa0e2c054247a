"""The blob store: one way in for every byte, one way out, above any backend and any catalogue.

In: lease → staging file → publish. What a crash leaves at any point is found by its lease (`blobstore.gc`).
"""

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from blobstore.backend import Backend, ObjectName
from blobstore.backends.places import Places
from blobstore.backends.where import FILE, IN_FILES, Where
from blobstore.catalogue import Catalogue, Claim, Lease, Stored
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.digest import Content, Digest
from blobstore.disk import Disk
from blobstore.durable import make_folders
from blobstore.errors import BlobError, BlobNotFound, LeaseLost, StorageUnavailable, WrongStore
from blobstore.leases import Leases
from blobstore.mark import NAME as STORE_ID
from blobstore.mark import mark
from blobstore.notes import Notes
from blobstore.opening import OTHERS, open_places, require_blobs
from blobstore.reading import OpenBlob, opened
from blobstore.reservation import Count, Reservation, nothing_beside
from blobstore.space import NO_FLOOR, Floor, Space
from blobstore.staged import StagedFile
from blobstore.staging import Staging
from blobstore.tally import Tally
from blobstore.threads import Threads
from blobstore.upload import Expected, Slot, Upload

__all__ = ["BlobStore", "Expected", "OpenBlob", "Slot", "Upload"]

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")

IO_THREADS = 8

LARGE = 8 << 20
"""Bytes of an upload that goes past the cache of the system."""

CLAIM_SECONDS = 7 * 24 * 3600.0

DONE_SECONDS = 3600.0
"""So long a resumable upload is known after its end: whoever missed the answer may ask."""


class BlobStore:
    """Blobs of many namespaces in one backend, known to one catalogue. Make one with `open`."""

    def __init__(
        self,
        backend: Backend,
        catalogue: Catalogue,
        staging: Staging,
        space: Space | None = None,
        *,
        rereads: bool = True,
    ) -> None:
        """`space` is the disk that bytes go to, staged ones at least; without it nobody asks whether there is room.

        `rereads`: staged files are read once more, to be put where blobs live.
        """
        self.backend = backend
        self.catalogue = catalogue
        self.staging = staging
        self._rereads = rereads
        # Two, so that a store of S3 which hangs does not keep others from receiving and hashing.
        self._threads = Threads(IO_THREADS, "blob-io")
        self._asking = Threads(backend.threads, "blob-backend")
        self.disk = Disk(space, catalogue, staging, self._threads)
        self.leases = Leases(catalogue, staging.process)
        self.tally = Tally()
        self._background: set[asyncio.Task[object]] = set()

    @classmethod
    async def open(
        cls, directory: Path, floor: Floor = NO_FLOOR, catalogue: Catalogue | None = None, where: Where = IN_FILES
    ) -> Self:
        """Open, or make, a store whose bytes are where `where` says; `floor` is what must stay free in `directory`.

        `catalogue` is one that was opened elsewhere, and is closed with the store, or when this fails; without it the
        store has one in SQLite. Raises `WrongStore` when the blobs there belong to another catalogue, or are gone.
        """
        await asyncio.to_thread(make_folders, directory)
        if catalogue is None:
            catalogue = await SqliteCatalogue.open(directory / "catalogue.db")
        async with AsyncExitStack() as failing:
            failing.push_async_callback(catalogue.close)
            store_id = await catalogue.store_id()
            # Of the directory, whatever is in it: staged files, if not the blobs.
            if await asyncio.to_thread(mark, directory / STORE_ID, store_id) != store_id:
                raise WrongStore(OTHERS)
            backend = await open_places(directory, catalogue, where)
            failing.push_async_callback(asyncio.to_thread, backend.close)
            await require_blobs(backend, catalogue)
            staging = await asyncio.to_thread(Staging.open, directory / "staging")
            failing.pop_all()
        return cls(backend, catalogue, staging, Space(directory, floor), rereads=where.location != FILE)

    async def require_own(self) -> None:
        """Raise `WrongStore` where the bytes are, by now, not those that the catalogue speaks of."""
        if isinstance(self.backend, Places):
            self.backend.learn(await self.catalogue.places())
        if await self.ask(self.backend.bound) != await self.catalogue.store_id():
            raise WrongStore(
                "the bytes here belong to another catalogue, or their store-id is gone: nothing is removed"
            )
        await require_blobs(self.backend, self.catalogue)

    async def receive(
        self,
        namespace: str,
        slot: Slot,
        size: int | None = None,
        count: Count = nothing_beside,
        *,
        covered: bool = False,
    ) -> Upload:
        """Begin an upload of `size` bytes (None: not known): commit its lease with room for them, make its file.

        `count` says what counts against quotas, too; it is asked where there are any. `covered`: other uploads have
        reserved what it brings. Raises `OverQuota`, `LargerThanQuota`, another `OutOfSpace`, `StorageUnavailable`.
        """
        lease = self.leases.new(namespace, slot.holder, slot.scope, slot.slot)
        beginning = self.keep(self._begin(lease, slot, size, count, covered))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            self.keep(_forsake(beginning))
            raise

    async def claim(
        self,
        namespace: str,
        slot: Slot,
        proven: Callable[[], Awaitable[Stored]],
        count: Count = nothing_beside,
    ) -> Stored:
        """Claim a blob that is stored, as an upload of its bytes would, once `proven` has said which.

        That is asked under the lease. Raises what it raises, `BlobNotFound` where the blob went meanwhile, `LeaseLost`,
        `OverQuota`, `StorageUnavailable`.
        """
        lease = self.leases.new(namespace, slot.holder, slot.scope, slot.slot)
        return await asyncio.shield(self.keep(self._claim(lease, slot, proven, count)))

    async def put(
        self, namespace: str, slot: Slot, chunks: AsyncIterable[bytes], expected: Expected | None = None
    ) -> Stored:
        """Receive all the chunks and publish them; see `Upload.finish`."""
        async with await self.receive(namespace, slot, None if expected is None else expected.size) as upload:
            async for chunk in chunks:
                await upload.write(chunk)
            return await upload.finish(expected)

    async def open_blob(self, namespace: str, digest: Digest) -> OpenBlob:
        """Open the live generation. Raises `BlobNotFound`."""
        stored = await self.catalogue.find(namespace, digest)
        if stored is None:
            raise BlobNotFound(str(digest))
        try:
            return await self.open_stored(stored)
        except BlobNotFound:
            # Between the two steps it may have been healed, or collected and uploaded again.
            newer = await self.catalogue.find(namespace, digest)
            if newer is None or newer.name == stored.name:
                raise
            return await self.open_stored(newer)

    async def open_stored(self, stored: Stored) -> OpenBlob:
        """Open this generation, whatever its state.

        Raises `BlobNotFound` when its bytes are not there, `ContentMismatch` when there are more or fewer.
        """
        return await opened(self._asking, self.backend, stored)

    async def close(self) -> None:
        """Wait for what is being published, then let go of everything. Harmless when called twice."""
        self.leases.stop()
        while self._background:
            await asyncio.wait(self._background)
        await self.catalogue.close()
        await asyncio.to_thread(self.staging.close)
        await asyncio.to_thread(self.backend.close)  # whatever hangs there ends with it
        await self._asking.close()
        await self._threads.close()

    # -- for uploads and readers -----------------------------------------------------------------------------------

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run a call that blocks in one of the store's threads."""
        return self._threads.run(call, *args, **kwargs)

    def ask(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """The same for a call of the backend: as many at once as it is worth."""
        return self._asking.run(call, *args, **kwargs)

    async def ask_each(self, call: Callable[[Sequence[S]], Sequence[T]], items: Sequence[S]) -> list[T]:
        """The answers of the backend for all of them, asked in as many parts at once as it is worth."""
        step = max(1, -(-len(items) // self.backend.threads))
        parts = [self.ask(call, items[start : start + step]) for start in range(0, len(items), step)]
        return [answer for answers in await asyncio.gather(*parts) for answer in answers]

    async def notes(self) -> Sequence[Notes | None]:
        """As `Backend.notes`. The catalogue is asked here: a thread that asked would have to wait for the loop."""
        if isinstance(self.backend, Places):
            return await self.ask(self.backend.notes_of, await self.catalogue.places())
        return await self.ask(self.backend.notes)

    async def left(self, names: Sequence[ObjectName]) -> list[ObjectName]:
        """Those of which anything is there (`Backend.left`), in whatever place that the catalogue knows now."""
        if isinstance(self.backend, Places):
            self.backend.learn(await self.catalogue.places())
        return await self.ask_each(self.backend.left, names)

    async def _begin(self, lease: Lease, slot: Slot, size: int | None, count: Count, covered: bool) -> Upload:
        reservation = Reservation(self.catalogue, self.disk, lease, count, covered=covered)
        self.disk.enter(lease, reservation)
        try:
            if size is not None and size >= LARGE:
                # Nobody else may be refused, however briefly, for what could never be; nor can sums take any number.
                await self.disk.require_for(size)
            promised = await self.disk.promised(await reservation.begin(size))
            staged = await self.submit(self._stage, lease, size or 0, promised)
            return Upload(self, lease, slot, staged, reservation, self.disk.uploads)
        except BaseException:
            await self.end(lease)
            raise

    async def _claim(self, lease: Lease, slot: Slot, proven: Callable[[], Awaitable[Stored]], count: Count) -> Stored:
        reservation = Reservation(self.catalogue, self.disk, lease, count)
        self.disk.enter(lease, reservation)
        try:
            await reservation.begin(0)
            found = await proven()
            await reservation.account(found.size)  # not before: what is only said must keep nobody from uploading
            content = Content(found.name.digest, found.sha256, found.size)
            stored = await self.catalogue.adopt(lease, content, *_claim(slot, content))
            if not isinstance(stored, Stored):
                raise BlobNotFound(str(content.digest))
        except BaseException:
            await self.end(lease)
            raise
        self.disk.leave(lease)
        self.tally.duplicate.add([content.size])
        return stored

    def _stage(self, lease: Lease, size: int, promised: int) -> StagedFile:
        """Make the staging file, if the disk has room for all that is promised."""
        self.disk.check(promised)
        return self.staging.create(lease.id, direct=self.is_written_past_cache(size))

    def is_written_past_cache(self, size: int) -> bool:
        """Whether so many bytes go to the disk past the system's cache: many, where they are not read again."""
        return size >= LARGE and not self._rereads

    async def end(self, lease: Lease) -> None:
        """End the lease of an upload that failed (`Leases.end`)."""
        self.disk.leave(lease)
        await self.leases.end(lease)

    async def put_in_place(self, lease: Lease, name: ObjectName, staged: StagedFile) -> float | None:
        """Publish the staged file under this lease; until when its bytes may come again, None where they do not.

        Whatever becomes of it, who had the lease ends it. Raises `LeaseLost`, `OutOfSpace`, `StorageUnavailable`.
        """
        try:
            if await self.ask(self._put, name, staged):
                self.leases.expect_late(lease)
        except FileNotFoundError:
            raise LeaseLost("the upload was fenced off while it was published") from None
        except StorageUnavailable:
            self.leases.expect_late(lease)
            raise
        return self.leases.late_until(lease)

    def _put(self, name: ObjectName, staged: StagedFile) -> bool:
        """As `Backend.publish`; the file is made durable before, and goes after."""
        staged.sync()
        try:
            late = self.backend.publish(name, staged.path)
        except FileExistsError:
            # Of the same upload, which was cut off before its row was there: put again, to be sure that it is durable.
            self.backend.remove([name])
            late = self.backend.publish(name, staged.path)
        with suppress(BlobError):  # what stays of it is debris: the bytes are in place
            staged.discard()
        return late

    async def publish(self, lease: Lease, slot: Slot, staged: StagedFile, content: Content) -> Stored:
        """Claim what is live, else put the staged file in place; see `Upload.finish`."""
        claim, event = _claim(slot, content)
        # Before its lease: bytes that are written twice in the sum leave less room, never too much.
        self.disk.leave(lease)
        stored = await self.catalogue.adopt(lease, content, claim, event)
        if isinstance(stored, Stored):
            with suppress(BlobError):  # what stays of the staged file is debris: the upload is stored, and said to be
                await self.submit(staged.discard)
            self.tally.duplicate.add([content.size])
            return stored
        name = stored
        late_until = await self.put_in_place(lease, name, staged)
        try:
            stored = await self.catalogue.publish(lease, claim, time.time(), event, late_until)
        except LeaseLost:
            await self.ask(self.backend.remove, [name])
            raise
        self.leases.forget(lease)
        if stored.name != name:
            # Another upload of the same bytes was first, ours is condemned: what fails here is left to the collector.
            with suppress(BlobError):
                await self.ask(self.backend.remove, [name])
                if late_until is None:
                    await self.catalogue.buried([name], time.time())
        (self.tally.stored if stored.name == name else self.tally.duplicate).add([content.size])
        return stored

    def keep(self, work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
        """Run to the end even when the caller goes away; `close` waits for it."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever awaits the task; who went away was promised nothing


def _claim(slot: Slot, content: Content) -> tuple[Claim, bytes | None]:
    """The claim of the place, and what the audit log hears of it."""
    claim = Claim(slot.holder, slot.scope, slot.slot, slot.media_type, time.time() + CLAIM_SECONDS)
    return claim, None if slot.event is None else slot.event(content)


async def _forsake(beginning: "asyncio.Task[Upload]") -> None:
    """Nobody waits for this upload any more."""
    with suppress(BlobError):
        async with await beginning:
            pass
