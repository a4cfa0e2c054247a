"""The thumbnails of one store: from the blob, or from what is kept beside it."""

import asyncio

from blobstore.catalogue import Catalogue
from blobstore.derived import Derived
from blobstore.digest import Digest
from records.consent.scope import Scope, Selector
from records.thumbnails.formats import THUMBNAIL, looks_like_one
from records.thumbnails.process import Painter
from records.writing.attachments import Attachment, Attachments

LARGEST = 64 << 20
"""Bytes of a picture; of larger ones there is no thumbnail."""

_NONE = b""


class Thumbnails:
    """The thumbnails of one store."""

    def __init__(self, attachments: Attachments, catalogue: Catalogue) -> None:
        self._attachments = attachments
        self._catalogue = catalogue
        self._painter = Painter()
        self._painting = asyncio.Lock()

    async def of(self, scope: Scope, blob_id: str) -> bytes | None:
        """A picture of at most 256 × 256 pixels (`formats.MEDIA_TYPE`), or None where there is none to make.

        For the owner alone: nothing is disclosed to anybody. Raises `BlobNotFound` as `Attachments.open`,
        `ContentMismatch`, `StorageUnavailable`.
        """
        assert scope.grant is None, "what a client sees goes on the audit log"
        async with self._attachments.open(scope, blob_id, Selector()) as found:
            kept = await self._kept(scope.owner.id, found.digest)
            return (await self._make(scope.owner.id, found) if kept is None else kept) or None

    async def close(self) -> None:
        """End the process that makes them."""
        await self._painter.close()

    async def _kept(self, owner: str, digest: Digest) -> bytes | None:
        """What is kept; `_NONE` where it was found that none can be made."""
        derived = await self._catalogue.derived(owner, digest, THUMBNAIL)
        return None if derived is None else derived.data()

    async def _make(self, owner: str, found: Attachment) -> bytes:
        blob = found.blob
        if blob.size > LARGEST or not looks_like_one(await blob.read(0, 32)):
            return _NONE
        async with self._painting:  # one at a time: it is the processor that they need
            kept = await self._kept(owner, found.digest)
            if kept is None:
                kept = await self._painter.paint(blob.size, blob.read)
                await self._catalogue.keep_derived(owner, found.digest, Derived.seal(THUMBNAIL, kept))
            return kept
