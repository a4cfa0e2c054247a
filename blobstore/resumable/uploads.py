"""Resumable uploads of one store: begun, found again, gone on with, put together, ended."""

import asyncio
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from blobstore.catalogue import Lease, Stored
from blobstore.digest import Hasher
from blobstore.errors import (
    BlobError,
    ContentMismatch,
    LeaseLost,
    StorageUnavailable,
    UploadBusy,
    UploadNotFound,
)
from blobstore.reservation import Count, Reservation, nothing_beside
from blobstore.resumable.file import ResumedFile, Sum
from blobstore.resumable.folder import About, Done, Folder, place
from blobstore.staging import host_of, is_lease
from blobstore.store import BlobStore
from blobstore.upload import Expected, Slot, Upload

BUSY_SECONDS = 2.0
"""So long is waited for who sends already: a sender who was cut off is noticed within that."""

SETTLE_SECONDS = 0.5
"""So long who asks waits for who sends: so that what a connection that broke had brought is told, too."""

_LOOK_SECONDS = 0.05

_LATER = 0.1
"""Of the time that an upload is kept: as much must have gone before it begins anew, for that costs a commit."""

HASHERS = 256
"""Uploads of which it is remembered what was hashed; of others all is read again at their end."""

SlotOf = Callable[[Lease, About], Slot]
"""The slot that a lease is for, with all that is said of it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a resumable upload stands. `expires_at`: UTC seconds. `done`: what became of it; `about` is gone then."""

    id: str
    length: int
    offset: int
    about: About | None = None
    expires_at: float | None = None
    done: Done | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all bytes have come, and are to be stored, but are not yet."""
        return self.about is not None and self.offset == self.length and not self.about.partial


class ResumedUpload(Upload):
    """One that is gone on with: an asynchronous context manager, which keeps what came, durably, whatever happens.

    Its lock is held until its end.
    """

    def __init__(
        self, uploads: "Resumables", lease: Lease, about: About, folder: Folder, staged: ResumedFile, lock: int
    ) -> None:
        store = uploads.store
        reservation = Reservation(store.catalogue, store.disk, lease, nothing_beside, covered=True)
        super().__init__(store, lease, uploads.slot_of(lease, about), staged, reservation, uploads.enter())
        self.id, self.about, self.expires_at = lease.id, about, lease.expires_at
        self.offset = self._begun = staged.end
        """Where it goes on."""
        self._uploads = uploads
        self._folder = folder
        self._file = staged
        self._lock = lock
        self._before: Hasher | None = None
        self._pausing: asyncio.Task[None] | None = None

    async def distrust(self) -> None:
        """From here on what comes is kept only if `trust` is called."""
        await self._store.submit(self._folder.distrust, self.offset)
        self._before = (self._file.hashed() or Hasher()).copy()

    async def trust(self) -> None:
        """All that came, until `pause`, was found good."""
        await self._store.submit(self._folder.trust)
        self._before = None

    async def take_back(self) -> None:
        """Nothing that comes, or came, since it was gone on with is kept. All before is hashed anew at its end."""
        await self._store.submit(self._folder.distrust, self._begun)
        self._before = Hasher()

    async def pause(self) -> int:
        """Make all that came durable; how many bytes there are. Raises as `came`."""
        # Shielded: whoever goes away must not let the file be closed while a worker is still in it.
        self._pausing = self._store.keep(self._pause())
        await asyncio.shield(self._pausing)
        self.offset = self._file.end
        return self.offset

    async def renew(self, seconds: float) -> None:
        """Put off its end until so many seconds from now, or nearly. Raises `LeaseLost` where it is over."""
        until = time.time() + seconds
        if until - self.expires_at > seconds * _LATER:
            self.expires_at = until
            await self._store.catalogue.renew(self.lease.process, until)
        if not await self._store.catalogue.leases([self.id]):
            raise LeaseLost("the upload was fenced off while bytes came")

    async def was_joined(self, done: Done, whole: str) -> None:
        """It has become a part of what this says, and is nothing else any more."""
        mine = Done(done.namespace, done.digest, done.sha256, self.about.length, done.place, whole=whole)

        def note() -> None:
            self._folder.ending(mine)
            self._folder.ended()

        await self._store.submit(note)
        await self._store.end(self.lease)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        if self._finishing is None:
            await asyncio.shield(self._store.keep(self._leave()))
        else:
            # Whoever awaited `finish` was told of its error; here only its end is waited for.
            await asyncio.wait([self._finishing])

    async def _pause(self) -> None:
        await self._take_rest()
        self._filling, self._filled = None, 0
        await self._store.submit(self._file.sync)

    async def _leave(self) -> None:
        """What came stays, unless it is not to be relied on."""
        try:
            with suppress(Exception):  # told to whoever wrote
                if self._pausing is not None:
                    await asyncio.wait([self._pausing])
                await self._pause()
            if self._before is not None:
                await self._store.submit(self._file.cut, self._begun, self._before)
                await self.trust()
        finally:
            await self._let_go()

    async def _finish(self, expected: Expected) -> Stored:
        """As an upload's; where storage does not answer all is kept, for another try."""
        store = self._store
        try:
            await self._pause()
            content = await store.submit(self._file.content)
            expected.check(content)
            sha256 = None if self.about.sha256 is None else bytes.fromhex(self.about.sha256)
            Expected(self.about.length, sha256).check(content)
            lease = self.lease
            done = Done(
                *(lease.namespace, content.digest, content.sha256.hex(), content.size),
                place(lease.id, lease.holder, lease.slot),
            )
            await store.submit(self._folder.ending, done)
            stored = await store.publish(lease, self._slot, self._file, content)
            await store.submit(self._folder.ended)
            return stored
        except (ContentMismatch, LeaseLost):
            with suppress(BlobError):  # what cannot be removed now is debris once its lease is gone
                await store.submit(self._folder.clear)
            await store.end(self.lease)
            raise
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        self._uploads.leave(self.id, await self._store.submit(self._ended_with))

    def _ended_with(self) -> Hasher | None:
        """Close everything, the lock at last."""
        try:
            return self._file.hashed()
        finally:
            self._file.discard()
            os.close(self._lock)


class Resumables:
    """The resumable uploads of a store. `slot_of` says for what place of the layer above one is."""

    def __init__(self, store: BlobStore, slot_of: SlotOf) -> None:
        self.store = store
        self.slot_of = slot_of
        self._hashers: OrderedDict[str, Hasher] = OrderedDict()
        self._under_way = 0

    async def begin(
        self, namespace: str, slot: Slot, about: About, seconds: float, count: Count = nothing_beside
    ) -> Progress:
        """Begin one, with room for all of it: it is there for so many seconds, and for as many after each part.

        Raises `OverQuota`, `LargerThanQuota`, another `OutOfSpace`, `StorageUnavailable`.
        """
        id = secrets.token_hex(16)
        process, expires_at = self.store.staging.process_of(id), time.time() + seconds
        whose = (namespace, slot.holder, slot.scope)
        lease = Lease(id, *whose, process, expires_at, slot=slot.slot)
        beginning = self.store.keep(self._begin(lease, about, count))
        try:
            await asyncio.shield(beginning)
        except asyncio.CancelledError:
            self.store.keep(self._forsake(beginning, lease))
            raise
        return Progress(id, about.length, 0, about, expires_at)

    async def find(self, namespace: str, id: str, *, settled: bool = False) -> Progress:
        """How it stands; what is told as having come is durable.

        `settled`: where somebody sends, and may be about to end, that is waited for a little. Raises `UploadNotFound`,
        `StorageUnavailable`, also where another machine has it.
        """
        folder = self._folder(id)
        if settled:
            with suppress(UploadNotFound, UploadBusy):
                os.close(await self._locked(namespace, id, SETTLE_SECONDS))
        if (lease := await self._lease(namespace, id)) is not None:
            about, offset = await self.store.submit(lambda: (folder.about(), folder.offset()))
            if about is not None and offset is not None:
                return Progress(id, about.length, offset, about, lease.expires_at)
        found = await self.store.submit(folder.done)
        if found is not None and found[0].namespace == namespace:
            done, known = found
            if known or await self._came_to_pass(id, done):
                return Progress(id, done.length, done.length, done=done)
        raise UploadNotFound(id)

    async def resume(self, namespace: str, id: str, also: Sum | None = None) -> ResumedUpload:
        """Go on with it; `also` sees what comes. Raises `UploadNotFound`, `UploadBusy`, `StorageUnavailable`."""
        resuming = self.store.keep(self._resume(namespace, id, also))
        try:
            return await asyncio.shield(resuming)
        except asyncio.CancelledError:
            self.store.keep(_leave_unused(resuming))
            raise

    async def end(self, namespace: str, id: str) -> None:
        """Forget it, with all that came. What is stored already stays so. Raises as `resume`."""
        progress = await self.find(namespace, id)
        await asyncio.shield(self.store.keep(self._end(namespace, progress)))

    async def join(
        self,
        namespace: str,
        slot: Slot,
        parts: Sequence[str],
        count: Count = nothing_beside,
        leased: Callable[[], Awaitable[None]] | None = None,
        expected: Expected | None = None,
    ) -> Progress:
        """Store the bytes of parts that are whole, one after the other; they are no parts of anything else then.

        Whoever asks for the same again, because the answer was lost, is answered the same. `leased` is called once
        there is a lease; where it raises nothing is stored. Raises `UploadNotFound` where one is none, `UploadBusy`,
        `OutOfSpace`, `StorageUnavailable`, `LeaseLost`, `ContentMismatch` where they are not what was `expected`.
        """
        try:
            if (joined := await self._joined(namespace, slot, parts)) is None:
                return await self._join(namespace, slot, parts, count, leased, expected)
        except UploadNotFound:
            # Whoever asked for the same before may have come to the end of it only now.
            if (joined := await self._joined(namespace, slot, parts)) is None:
                raise
        if expected is not None and joined.done is not None:
            expected.check(joined.done.content)
        return joined

    async def _join(
        self,
        namespace: str,
        slot: Slot,
        parts: Sequence[str],
        count: Count,
        leased: Callable[[], Awaitable[None]] | None,
        expected: Expected | None,
    ) -> Progress:
        async with AsyncExitStack() as holding:
            held: dict[str, ResumedUpload] = {}
            for id in sorted(parts):  # in whatever order others name them: nobody waits for who waits for him
                part = held[id] = await holding.enter_async_context(await self.resume(namespace, id))
                if not part.about.partial or part.offset != part.about.length:
                    raise UploadNotFound(f"{id} is not a part, or not whole")
            files = [held[id] for id in parts]
            size = sum(each.offset for each in files)
            await self.store.disk.require_room(size)
            covered = all(each.lease.holder == slot.holder for each in files)  # else its own limit has a say
            known = None if covered else size
            async with await self.store.receive(namespace, slot, known, count, covered=covered) as upload:
                if leased is not None:
                    await leased()
                for each in files:
                    await self._copy(each, upload)
                stored = await upload.finish(expected)
            done = await self._note_joined(upload.lease, stored, tuple(parts))
            for part in files:
                await part.was_joined(done, upload.lease.id)
        return Progress(upload.lease.id, stored.size, stored.size, done=done)

    # -- for uploads ------------------------------------------------------------------------------------------------

    def enter(self) -> int:
        """Another one is under way; how many there are."""
        self._under_way += 1
        return self._under_way

    def leave(self, id: str, hasher: Hasher | None) -> None:
        """One is not any more. What it has hashed is remembered."""
        self._under_way -= 1
        if hasher is not None:
            self._hashers[id] = hasher
            while len(self._hashers) > HASHERS:
                self._hashers.popitem(last=False)

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _begin(self, lease: Lease, about: About, count: Count) -> None:
        store = self.store
        # Nobody else may be refused, however briefly, for what could never be; nor can sums take any number.
        await store.disk.require_for(about.length)
        lock = await store.submit(store.staging.keep, lease.process)
        try:
            reservation = Reservation(store.catalogue, store.disk, lease, count)
            await store.disk.require(await store.disk.promised(await reservation.begin(about.length)))
            await store.submit(self._folder(lease.id).begin, about)
        except BaseException:
            with suppress(BlobError):
                await store.submit(self._folder(lease.id).clear)
            await store.end(lease)
            raise
        finally:
            os.close(lock)

    async def _forsake(self, beginning: "asyncio.Task[None]", lease: Lease) -> None:
        """Nobody waits for it any more, and nobody knows its id."""
        with suppress(BlobError):
            await beginning
            await self.end(lease.namespace, lease.id)

    async def _resume(self, namespace: str, id: str, also: Sum | None) -> ResumedUpload:
        store, folder = self.store, self._folder(id)
        lock = await self._locked(namespace, id)
        try:
            # After the lock: whoever had it may have been its end.
            lease = await self._lease(namespace, id)
            about, offset = await store.submit(lambda: (folder.about(), folder.offset()))
            if lease is None or about is None or offset is None:
                raise UploadNotFound(id)
            hasher = self._hashers.pop(id, None)
            if hasher is None or hasher.size > offset:
                hasher = Hasher()
            staged = await store.submit(self._open, folder, offset, hasher, also)
            return ResumedUpload(self, lease, about, folder, staged, lock)
        except BaseException:
            os.close(lock)
            raise

    def _open(self, folder: Folder, offset: int, hasher: Hasher, also: Sum | None) -> ResumedFile:
        about = folder.about()
        direct = about is not None and self.store.is_written_past_cache(about.length - offset)
        staged = ResumedFile(folder.path, offset, hasher, also, direct=direct)
        folder.trust()
        return staged

    async def _end(self, namespace: str, progress: Progress) -> None:
        lock = await self._locked(namespace, progress.id)
        try:
            await self.store.submit(self._folder(progress.id).clear)
            for lease in await self.store.catalogue.leases([progress.id]):
                await self.store.end(lease)
        finally:
            os.close(lock)
        self._hashers.pop(progress.id, None)

    async def _locked(self, namespace: str, id: str, seconds: float | None = None) -> int:
        """The lock of its folder, waited for so long (`BUSY_SECONDS` unless told)."""
        process = self.store.staging.process_of(id)
        until = time.monotonic() + (BUSY_SECONDS if seconds is None else seconds)
        while True:
            try:
                lock = await self.store.submit(self.store.staging.lock, process)
            except FileNotFoundError:
                await self._lease(namespace, id)
                raise UploadNotFound(id) from None
            if lock is not None:
                return lock
            if time.monotonic() > until:
                raise UploadBusy("another request sends to this upload; ask where it stands, and go on from there")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _lease(self, namespace: str, id: str) -> Lease | None:
        """Its lease, as long as it is good. Raises `StorageUnavailable` where its bytes are on another machine."""
        staging = self.store.staging
        for lease in await self.store.catalogue.leases([id]):
            if lease.namespace != namespace or not lease.process.endswith(f"-{id[:16]}"):
                continue  # no resumable one
            if host_of(lease.process) != staging.host and lease.process != staging.process_of(id):
                raise StorageUnavailable("another machine has the bytes of this upload: send its requests there")
            return lease if lease.expires_at > time.time() else None
        return None

    async def _came_to_pass(self, id: str, done: Done) -> bool:
        """Whether it was stored as it was about to be, by a process that did not live to note it."""
        catalogue = self.store.catalogue
        live = await catalogue.find(done.namespace, done.digest)
        if live is not None and live.name.generation == id:
            return True
        claims = await catalogue.claims_of(done.namespace, done.digest)
        return any(place(id, each.claim.holder, each.claim.slot) == done.place for each in claims)

    async def _copy(self, part: ResumedUpload, into: Upload) -> None:
        """All bytes of a part, in its order."""
        with Path.open(self._folder(part.id).path, "rb", buffering=0) as file:
            while count := await self.store.submit(file.readinto, into.room()):
                await into.came(count)

    async def _joined(self, namespace: str, slot: Slot, parts: Sequence[str]) -> Progress | None:
        """What was made of just these parts, for this slot, before."""
        first = await self.store.submit(self._folder(parts[0]).done)
        if first is None or first[0].whole is None:
            return None
        joined = await self.find(namespace, first[0].whole)
        wanted = tuple(parts), place(joined.id, slot.holder, slot.slot)
        return joined if joined.done is not None and (joined.done.parts, joined.done.place) == wanted else None

    async def _note_joined(self, lease: Lease, stored: Stored, parts: tuple[str, ...]) -> Done:
        store = self.store
        whose = (lease.namespace, stored.name.digest, stored.sha256.hex(), stored.size)
        done = Done(*whose, place(lease.id, lease.holder, lease.slot), parts)

        def note() -> None:
            folder = self._folder(lease.id)
            lock = store.staging.keep(store.staging.process_of(lease.id))
            try:
                folder.ending(done)
                folder.ended()
            finally:
                os.close(lock)

        await store.submit(note)
        return done

    def _folder(self, id: str) -> Folder:
        """Raises `UploadNotFound` for what is no id: it becomes a path."""
        if not is_lease(id):
            raise UploadNotFound(id)
        return Folder(self.store.staging, self.store.staging.process_of(id), id)


async def _leave_unused(resuming: "asyncio.Task[ResumedUpload]") -> None:
    with suppress(BlobError):
        async with await resuming:
            pass
