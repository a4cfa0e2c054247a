"""Resumable uploads of one store: begun, found again, gone on with, ended."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from blobstore.catalogue import Lease
from blobstore.digest import Hasher
from blobstore.errors import (
    BlobError,
    StorageUnavailable,
    UploadBusy,
    UploadNotFound,
)
from blobstore.reservation import Count, Reservation, nothing_beside
from blobstore.resumable.file import ResumedFile, Sum
from blobstore.resumable.folder import About, Done, Folder, place
from blobstore.resumable.hashed import Hashed
from blobstore.resumable.progress import Progress
from blobstore.resumable.resumed import ResumedUpload
from blobstore.staging import host_of, is_lease
from blobstore.store import BlobStore
from blobstore.upload import Slot

BUSY_SECONDS = 2.0
"""So long is waited for who sends already: a sender who was cut off is noticed within that."""

SETTLE_SECONDS = 0.5
"""So long who asks waits for who sends: so that what a connection that broke had brought is told, too."""

_LOOK_SECONDS = 0.05

SlotOf = Callable[[Lease, About], Slot]
"""The slot that a lease is for, with all that is said of it."""


class Resumables:
    """The resumable uploads of a store. `slot_of` says for what place of the layer above one is."""

    def __init__(self, store: BlobStore, slot_of: SlotOf) -> None:
        self.store = store
        self._slot_of = slot_of
        self._hashed = Hashed()

    async def begin(
        self, namespace: str, slot: Slot, about: About, seconds: float, count: Count = nothing_beside
    ) -> Progress:
        """Begin one, with room for all of it: it is there for so many seconds, and for as many after each part.

        Raises `OverQuota`, `LargerThanQuota`, another `OutOfSpace`, `StorageUnavailable`.
        """
        id = secrets.token_hex(16)
        process, expires_at = self.store.staging.process_for(id), time.time() + seconds
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
        folder = await self.store.submit(self.folder, id)
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

    # -- for joining ------------------------------------------------------------------------------------------------

    def folder(self, id: str) -> Folder:
        """What staging has of it. Raises `UploadNotFound` for what is no id: it becomes a path.

        Blocks where nothing is there: all of staging is looked through, however many uploads there are.
        """
        if not is_lease(id):
            raise UploadNotFound(id)
        return Folder(self.store.staging, self.store.staging.process_of(id), id)

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _begin(self, lease: Lease, about: About, count: Count) -> None:
        store = self.store
        # Nobody else may be refused, however briefly, for what could never be; nor can sums take any number.
        await store.disk.require_for(about.length)
        lock = await store.submit(store.staging.keep, lease.process)
        try:
            reservation = Reservation(store.catalogue, store.disk, lease, count)
            await store.disk.require(await store.disk.promised(await reservation.begin(about.length)))
            await store.submit(self.folder(lease.id).begin, about)
        except BaseException:
            with suppress(BlobError):
                await store.submit(self.folder(lease.id).clear)
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
        store = self.store
        folder = await store.submit(self.folder, id)
        lock = await self._locked(namespace, id)
        try:
            # After the lock: whoever had it may have been its end.
            lease = await self._lease(namespace, id)
            about, offset = await store.submit(lambda: (folder.about(), folder.offset()))
            if lease is None or about is None or offset is None:
                raise UploadNotFound(id)
            slot = self._slot_of(lease, about)
            staged = await store.submit(self._open, folder, offset, self._hashed.of(id, offset), also)
            return ResumedUpload(store, slot, lease, about, folder, staged, lock, self._hashed)
        except BaseException:
            os.close(lock)
            raise

    def _open(self, folder: Folder, offset: int, hasher: Hasher, also: Sum | None) -> ResumedFile:
        about = folder.about()
        direct = about is not None and self.store.is_written_past_cache(about.length - offset)
        staged = ResumedFile(folder.path, offset, hasher, also, direct=direct)
        try:
            folder.trust()
        except BaseException:
            staged.discard()
            raise
        return staged

    async def _end(self, namespace: str, progress: Progress) -> None:
        lock = await self._locked(namespace, progress.id)
        try:
            await self.store.submit(self.folder(progress.id).clear)
            for lease in await self.store.catalogue.leases([progress.id]):
                await self.store.end(lease)
        finally:
            os.close(lock)
        self._hashed.forget(progress.id)

    async def _locked(self, namespace: str, id: str, seconds: float | None = None) -> int:
        """The lock of its folder, waited for so long (`BUSY_SECONDS` unless told)."""
        process = await self.store.submit(self.store.staging.process_of, id)
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


async def _leave_unused(resuming: "asyncio.Task[ResumedUpload]") -> None:
    with suppress(BlobError):
        async with await resuming:
            pass
