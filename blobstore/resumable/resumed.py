"""A resumable upload that is gone on with: what comes stays, until it is published, or is found not to be good."""

import asyncio
import os
import time
from contextlib import suppress

from blobstore.catalogue import Lease, Stored
from blobstore.digest import Hasher
from blobstore.errors import BlobError, ContentMismatch, LeaseLost
from blobstore.reservation import Reservation, nothing_beside
from blobstore.resumable.file import ResumedFile
from blobstore.resumable.folder import About, Done, Folder, place
from blobstore.resumable.hashed import Hashed
from blobstore.store import BlobStore
from blobstore.upload import Expected, Slot, Upload

_LATER = 0.1
"""Of the time that an upload is kept: as much must have gone before it begins anew, for that costs a commit."""


class ResumedUpload(Upload):
    """One that is gone on with: an asynchronous context manager, which keeps what came, durably, whatever happens.

    Its lock is held until its end.
    """

    def __init__(
        self,
        store: BlobStore,
        slot: Slot,
        lease: Lease,
        about: About,
        folder: Folder,
        staged: ResumedFile,
        lock: int,
        hashed: Hashed,
    ) -> None:
        reservation = Reservation(store.catalogue, store.disk, lease, nothing_beside, covered=True)
        super().__init__(store, lease, slot, staged, reservation, hashed.enter())
        self.id, self.about, self.expires_at = lease.id, about, lease.expires_at
        self.offset = self._begun = staged.end
        """Where it goes on."""
        self._hashed = hashed
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
        self._hashed.leave(self.id, await self._store.submit(self._ended_with))

    def _ended_with(self) -> Hasher | None:
        """Close everything, the lock at last. What saw bytes that are not to be relied on is forgotten."""
        try:
            return None if self._before is not None else self._file.hashed()
        finally:
            self._file.discard()
            os.close(self._lock)
