"""Attachments: bytes on their way to a record, and bytes served because a record that the caller sees names them."""

import asyncio
import bisect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from blobstore.catalogue import Stored
from blobstore.digest import SHA256_PREFIX, Content, Digest, parse_sha256_alias
from blobstore.errors import BlobNotFound, InvalidBlobId
from blobstore.reservation import Count
from blobstore.store import BlobStore, OpenBlob, Slot, Upload
from records import jsontext
from records.audit import spine
from records.central import Owner
from records.consent.scope import Scope, Selector, StreamGrant, projected
from records.engine import Engine, Engines
from records.erasure.underway import Settled
from records.errors import Invalid, SourceDown, Unknown
from records.keyring import Keyring
from records.model import Partition, PlacedLink
from records.pauses import Unpaused
from records.reading.reach import Reaches
from records.reading.scan import named
from records.registry import Destination, Registration, Registry
from records.slots import WHOLE_RECORD, parse, slot
from records.writing import links
from records.writing.links import DEFAULT_MEDIA_TYPE, media_type, top_field
from records.writing.room import Room


@dataclass(frozen=True, slots=True)
class Target:
    """The record that bytes are for, as their sender names it, and their media type."""

    selector: Selector
    stream: str
    record_key: str
    media: str
    json_path: str = WHOLE_RECORD


@dataclass(frozen=True, slots=True)
class Attachment:
    """A blob as one link shows it: its bytes, their digests, and the link's media type and file name.

    `place` is the record (partition and key) through which it is seen; None for one that is claimed only.
    """

    blob: OpenBlob
    digest: Digest
    sha256: bytes
    media_type: str
    filename: str | None
    place: tuple[Partition, str] | None


NO_BLOB = Digest.from_bytes(bytes(32))
"""What nothing links: asked for in the place of a blob that is not there."""

_Seen = tuple[str, str | None, tuple[Partition, str] | None]
"""Media type, file name, and the record through which a blob is seen."""


class Attachments:
    """Receives bytes for records to come and opens what records name."""

    def __init__(
        self,
        blobs: BlobStore,
        registry: Registry,
        reaches: Reaches,
        engines: Engines,
        keyring: Keyring,
        room: Room,
        settled: Settled,
        unpaused: Unpaused,
    ) -> None:
        self._blobs = blobs
        self._registry = registry
        self._reaches = reaches
        self._engines = engines
        self._keyring = keyring
        self._room = room
        self._settled = settled
        self._unpaused = unpaused

    async def receive(self, owner: Owner, target: Target, size: int | None = None) -> Upload:
        """Begin an upload for a record; its media type is checked and normalized.

        `size` is its length in bytes where that is known, so that there is room for all of it or none is begun.

        Raises `Invalid`, `Unknown`, `Ambiguous`, `OverQuota` and other `OutOfSpace`, `StorageUnavailable`, all before a
        byte is read.
        """
        place, destination = await self.place(owner, target)
        upload = await self._blobs.receive(owner.id, place, size, self.count(owner, destination))
        try:
            await self.require_open(owner, destination)
        except BaseException:
            async with upload:
                raise
        return upload

    async def place(self, owner: Owner, target: Target) -> tuple[Slot, Destination]:
        """The slot that an upload is for, and where that is. Raises `Invalid`, `Unknown`, `Ambiguous`."""
        if target.json_path != WHOLE_RECORD and not target.json_path.startswith("/"):
            raise Invalid("json_path is @record or a JSON Pointer (RFC 6901)", param="json_path")
        checked = media_type(target.media)
        destination = await self._registry.destination(owner, target.stream, target.selector)
        connector, instance = destination.registration.key, destination.instance.id
        await self._settled(owner, Partition(connector, instance, target.stream))
        place = slot(instance, target.stream, target.record_key, target.json_path)
        return self.slot(owner.id, connector, instance, place, checked), destination

    def slot(self, owner: str, connector: str, instance: str, place: str, media: str) -> Slot:
        """A slot of which the audit log is told what was stored in it."""
        _, stream, record_key, _ = parse(place)

        def event(content: Content) -> bytes:
            facts = {
                "connector": connector,
                "instance": instance,
                "stream": stream,
                "record": self._keyring.key_digest(owner, record_key),
                "blob_id": str(content.digest),
                "size": content.size,
            }
            return spine.body("blob.upload", facts)

        return Slot(connector, instance, place, media, event)

    def count(self, owner: Owner, destination: Destination) -> Count:
        """Says what counts against quotas beside blobs."""
        return lambda: self._room.beside(owner.id, destination.registration.key)

    async def require_open(self, owner: Owner, destination: Destination) -> None:
        """To be called once the lease is there: an erasure that marks the instance later takes it away later, too."""
        await self._unpaused(owner, destination.registration.key)
        await self._registry.require_living(owner, destination.instance)

    @asynccontextmanager
    async def open(self, scope: Scope, blob_id: str, selector: Selector) -> AsyncIterator[Attachment]:
        """Open a blob under the first link that the scope may see, or one of the owner's claims.

        Raises `BlobNotFound` for everything else, malformed ids included: not there and not for you look the same.
        """
        stored = await self._find(scope.owner, blob_id)
        seen = await self._seen(scope, stored, selector)
        if stored is None or seen is None:
            raise BlobNotFound(blob_id)
        async with await self._blobs.open_stored(stored) as blob:
            yield Attachment(blob, stored.name.digest, stored.sha256, *seen)

    async def _find(self, owner: Owner, blob_id: str) -> Stored | None:
        catalogue = self._blobs.catalogue
        try:
            if blob_id.startswith(SHA256_PREFIX):
                return await catalogue.find_sha256(owner.id, parse_sha256_alias(blob_id))
            return await catalogue.find(owner.id, Digest.parse(blob_id))
        except InvalidBlobId:
            return None

    async def _seen(self, scope: Scope, stored: Stored | None, selector: Selector) -> _Seen | None:
        """The first link that the scope may see, or one of the owner's claims.

        Raises `SourceDown` where a connector that may show the blob does not answer, and nothing else shows it. To a
        client that is the same for all blobs, also for those that are not there.
        """
        engine = await self._engines.of(scope.owner.id)
        digest = NO_BLOB if stored is None else stored.name.digest
        silent: SourceDown | None = None
        for connector, registration in (await self._showing(scope, digest, selector)).items():
            try:
                places = await self._reaches.partitions(scope, selector, {connector: registration})
                if (seen := await self._seen_in(engine, scope, digest, connector, list(places))) is not None:
                    return seen
            except Unknown:
                continue  # the instance that is named is another's
            except SourceDown as error:
                silent = silent or error
        claimed = None if stored is None else await self._claimed(scope, stored, selector)
        if claimed is None and silent is not None:
            raise silent
        return claimed

    async def _showing(self, scope: Scope, digest: Digest, selector: Selector) -> Mapping[str, Registration]:
        """The connectors, in order, whose records may show the blob to the caller; no other is asked.

        A client's own is asked for whatever blob, an owner's only if they hold it.
        """
        try:
            selected = await self._reaches.connectors(scope, selector)
        except Unknown:
            return {}
        if scope.grant is not None:
            return selected
        holding = {each.holder for each in await self._blobs.catalogue.holders_of(scope.owner.id, digest)}
        return {key: selected[key] for key in sorted(selected.keys() & holding)}

    async def _seen_in(
        self, engine: Engine, scope: Scope, digest: Digest, connector: str, places: Sequence[Partition]
    ) -> _Seen | None:
        """The first link of the connector that the scope may see, in the order of places, keys and pointers, however
        many there are.
        """
        allowed = set(places)
        after: tuple[Partition, str, str] | None = (places[0], "", "") if places else None
        while after is not None:
            page = await engine.links_of(digest, after, connector=connector)
            for each in await _visible(engine, scope, [link for link in page if link.partition in allowed]):
                return each.link.media_type, await _filename(engine, scope, each), (each.partition, each.key)
            after = _beyond(page[-1], places) if page else None
        return None

    async def _claimed(self, scope: Scope, stored: Stored, selector: Selector) -> _Seen | None:
        """The owner sees what was uploaded before its record has come."""
        if scope.grant is not None:
            return None
        selected = await self._reaches.connectors(scope, selector)
        living = {each.id for each in await self._registry.instances(scope) if each.connector in selected}
        for claimed in await self._blobs.catalogue.claims_of(scope.owner.id, stored.name.digest):
            instance = parse(claimed.claim.slot)[0]
            if instance in living and selector.instance in (None, instance):
                return claimed.claim.media_type or DEFAULT_MEDIA_TYPE, None, None
        return None


async def _visible(engine: Engine, scope: Scope, page: Sequence[PlacedLink]) -> list[PlacedLink]:
    """Those through whose record and field the scope may see the blob, in their order."""
    granted = [link for link in page if _is_granted(scope.stream(link.partition.stream), link)]
    hidden: set[tuple[Partition, str]] = set()
    for place in {link.partition for link in granted}:
        bounds = scope.stream(place.stream)
        if bounds is None or bounds.window is None:
            continue
        keys = {link.key for link in granted if link.partition == place}
        async for found in named(engine, place, frozenset(keys)):
            keys -= {each.key for each in found if bounds.shows_data(each.key, jsontext.decode(each.data))}
        hidden |= {(place, key) for key in keys}
    return [link for link in granted if (link.partition, link.key) not in hidden]


async def _filename(engine: Engine, scope: Scope, link: PlacedLink) -> str | None:
    """The link's file name; a client gets none from a field that it may not see."""
    bounds, name = scope.stream(link.partition.stream), link.link.filename
    if bounds is None or name is None:
        return name
    fields, pointer = bounds.fields, link.link.pointer

    def granted(data: bytes) -> str | None:
        seen = links.find(projected(jsontext.decode(data), fields))
        return next((reference.filename for reference in seen if reference.pointer == pointer), None)

    found = await engine.get([link.partition], [link.key])
    return await asyncio.to_thread(granted, found[0].data) if found else None


def _is_granted(bounds: StreamGrant | None, link: PlacedLink) -> bool:
    """Whether the grant names the field that holds the reference, and the record where it names records."""
    if bounds is None:
        return True
    named = bounds.resources is None or link.key in bounds.resources
    return named and top_field(link.link.pointer) in bounds.fields


def _beyond(last: PlacedLink, places: Sequence[Partition]) -> tuple[Partition, str, str] | None:
    """From where to go on: partitions that the caller does not reach are skipped, whatever they link."""
    here = (last.partition, last.key, last.link.pointer)
    if last.partition in places:
        return here
    following = bisect.bisect_right(places, last.partition)
    return (places[following], "", "") if following < len(places) else None
