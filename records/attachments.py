"""Attachments: bytes on their way to a record, and bytes served because a record that the caller sees names them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from blobstore.catalogue import Stored
from blobstore.digest import SHA256_PREFIX, Content, Digest, parse_sha256_alias
from blobstore.errors import BlobNotFound, InvalidBlobId
from blobstore.store import BlobStore, OpenBlob, Slot, Upload
from records import spine
from records.central import Owner
from records.engine import Engine, Engines
from records.errors import Invalid
from records.keyring import Keyring
from records.links import DEFAULT_MEDIA_TYPE, media_type
from records.model import PlacedLink
from records.registry import Registry
from records.scope import Scope, Selector
from records.slots import WHOLE_RECORD, parse, slot


@dataclass(frozen=True, slots=True)
class Attachment:
    """A blob as one link shows it: its bytes, their digests, and the link's media type and file name."""

    blob: OpenBlob
    digest: Digest
    sha256: bytes
    media_type: str
    filename: str | None


class Attachments:
    """Receives bytes for records to come and opens what records name."""

    def __init__(self, blobs: BlobStore, registry: Registry, engines: Engines, keyring: Keyring) -> None:
        self._blobs = blobs
        self._registry = registry
        self._engines = engines
        self._keyring = keyring

    async def receive(
        self, owner: Owner, selector: Selector, *, stream: str, record_key: str, json_path: str, media: str
    ) -> Upload:
        """Begin an upload for the record `record_key`; `media` is its media type, checked and normalized.

        Raises `Invalid`, `Unknown`, `Ambiguous`, all before a byte is read.
        """
        if json_path != WHOLE_RECORD and not json_path.startswith("/"):
            raise Invalid("json_path is @record or a JSON Pointer (RFC 6901)", param="json_path")
        checked = media_type(media)
        destination = await self._registry.destination(owner, stream, selector)
        connector, instance = destination.registration.key, destination.instance.id

        def event(content: Content) -> bytes:
            facts = {
                "connector": connector,
                "instance": instance,
                "stream": stream,
                "record": self._keyring.key_digest(owner.id, record_key),
                "blob_id": str(content.digest),
                "size": content.size,
            }
            return spine.body("blob.upload", facts)

        place = slot(instance, stream, record_key, json_path)
        return await self._blobs.receive(owner.id, Slot(connector, instance, place, checked, event))

    @asynccontextmanager
    async def open(self, scope: Scope, blob_id: str, selector: Selector) -> AsyncIterator[Attachment]:
        """Open a blob under the first link that the scope may see, or one of the owner's claims.

        Raises `BlobNotFound` for everything else, malformed ids included: not there and not for you look the same.
        """
        stored = await self._find(scope.owner, blob_id)
        seen = await self._authorize(scope, stored, selector)
        if seen is None:
            raise BlobNotFound(blob_id)
        async with await self._blobs.open_stored(stored) as blob:
            yield Attachment(blob, stored.name.digest, stored.sha256, *seen)

    async def _find(self, owner: Owner, blob_id: str) -> Stored:
        catalogue = self._blobs.catalogue
        try:
            if blob_id.startswith(SHA256_PREFIX):
                stored = await catalogue.find_sha256(owner.id, parse_sha256_alias(blob_id))
            else:
                stored = await catalogue.find(owner.id, Digest.parse(blob_id))
        except InvalidBlobId:
            stored = None
        if stored is None:
            raise BlobNotFound(blob_id)
        return stored

    async def _authorize(self, scope: Scope, stored: Stored, selector: Selector) -> tuple[str, str | None] | None:
        """(media type, file name) of the first link or claim in the selection."""
        selected = await self._registry.select(scope, selector)
        living = {each.id for each in await self._registry.instances(scope) if each.connector in selected}
        if selector.instance is not None:
            living &= {selector.instance}
        engine = await self._engines.of(scope.owner.id)
        async for placed in _links(engine, stored.name.digest):
            if placed.partition.instance in living:
                return placed.link.media_type, placed.link.filename
        for claimed in await self._blobs.catalogue.claims_of(scope.owner.id, stored.name.digest):
            if parse(claimed.claim.slot)[0] in living:
                return claimed.claim.media_type or DEFAULT_MEDIA_TYPE, None
        return None


async def _links(engine: Engine, digest: Digest) -> AsyncIterator[PlacedLink]:
    """All links to a blob in their order, however many."""
    after = None
    while page := await engine.links_of(digest, after):
        for placed in page:
            yield placed
        after = (page[-1].partition, page[-1].key, page[-1].link.pointer)
