"""Resumable uploads for records to come: the same place, rights, quotas and audit as those of one request."""

from collections.abc import Sequence
from functools import partial

from blobstore.catalogue import Lease
from blobstore.resumable import About, Progress, Resumables, ResumedUpload, join
from blobstore.resumable.file import Sum
from blobstore.store import BlobStore, Slot
from blobstore.upload import Expected
from records.central import Owner
from records.writing.attachments import Attachments, Target


class Uploads:
    """The resumable uploads of all owners; none finds another's. See `blobstore.resumable.Resumables`."""

    def __init__(self, blobs: BlobStore, attachments: Attachments) -> None:
        self._attachments = attachments
        self._resumables = Resumables(blobs, self._slot)

    async def begin(self, owner: Owner, target: Target, about: About, seconds: float) -> Progress:
        """Begin one; the media type that `about` names is the target's. Raises as `Attachments.receive`."""
        slot, destination = await self._attachments.place(owner, target)
        about = About(about.length, slot.media_type, about.metadata, about.sha256, about.partial)
        count = self._attachments.count(owner, destination)
        begun = await self._resumables.begin(owner.id, slot, about, seconds, count)
        try:
            await self._attachments.require_open(owner, destination)
        except BaseException:
            await self._resumables.end(owner.id, begun.id)
            raise
        return begun

    async def join(
        self, owner: Owner, target: Target, parts: Sequence[str], expected: Expected | None = None
    ) -> Progress:
        """Store what these uploads brought, one after the other. Raises as `begin`, and as `resumable.join`."""
        slot, destination = await self._attachments.place(owner, target)
        count = self._attachments.count(owner, destination)
        leased = partial(self._attachments.require_open, owner, destination)
        return await join(self._resumables, owner.id, slot, parts, count, leased, expected)

    async def find(self, owner: Owner, id: str, *, settled: bool = False) -> Progress:
        """How it stands; see `Resumables.find`. Raises `UploadNotFound`, `StorageUnavailable`."""
        return await self._resumables.find(owner.id, id, settled=settled)

    async def resume(self, owner: Owner, id: str, also: Sum | None = None) -> ResumedUpload:
        """Go on with it. Raises `UploadNotFound`, `UploadBusy`, `StorageUnavailable`."""
        return await self._resumables.resume(owner.id, id, also)

    async def end(self, owner: Owner, id: str) -> None:
        """Forget it, with all that came. Raises as `resume`."""
        await self._resumables.end(owner.id, id)

    def _slot(self, lease: Lease, about: About) -> Slot:
        return self._attachments.slot(lease.namespace, lease.holder, lease.scope, lease.slot, about.media_type)
