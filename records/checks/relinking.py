"""Mending links: a record's links become those that its data names, where the blobs are stored.

The data was accepted once, and no line is accepted that names a blob which its connector does not hold: so what stands
there may be linked again, also where the holder went with the link.
"""

import asyncio
import time
from collections.abc import Sequence

from blobstore.catalogue import Catalogue
from blobstore.digest import Digest
from blobstore.gc import Collector
from records import jsontext
from records.engine import Engine
from records.errors import Invalid, Released
from records.model import Link, Partition
from records.writing import links
from records.writing.links import BlobRef

RETRIES = 20
"""Times that one record's blobs are held again; each time some release was in between, so somebody gets on."""


def named(data: bytes) -> Sequence[BlobRef] | None:
    """The references in a record's data; None for data that cannot be read, or refers in a form that is refused."""
    try:
        return links.find(jsontext.decode(data)) if links.may_hold(data, b"blob_") else []
    except (ValueError, RecursionError, Invalid):
        return None


class Relinking:
    """Mends the records of one owner (`namespace` in the catalogue)."""

    def __init__(self, catalogue: Catalogue, collector: Collector, namespace: str, engine: Engine) -> None:
        self._catalogue = catalogue
        self._collector = collector
        self._namespace = namespace
        self._engine = engine

    async def digest(self, ref: BlobRef) -> Digest | None:
        """The blob that is named; None for an alias that names none here."""
        if ref.sha256 is None:
            return ref.digest
        stored = await self._catalogue.find_sha256(self._namespace, ref.sha256)
        return None if stored is None else stored.name.digest

    async def links(self, refs: Sequence[BlobRef]) -> list[Link] | None:
        """What these references become; None where one of them names a blob that is not stored."""
        found = []
        for ref in refs:
            digest = await self.digest(ref)
            stored = None if digest is None else await self._catalogue.find(self._namespace, digest)
            if stored is None:
                return None
            found.append(ref.link(stored.name.digest, stored.size))
        return found

    async def mend(self, place: Partition, key: str) -> None:
        """Link what the record names; nothing is done where that cannot be, or the record changes meanwhile."""
        for _ in range(RETRIES):
            release_epoch = await self._engine.release_epoch(place.connector)
            found = await self._engine.get([place], [key])
            refs = await asyncio.to_thread(named, found[0].data) if found else None
            wanted = None if refs is None else await self.links(refs)
            if wanted is None or not await self._hold(place.connector, {link.digest for link in wanted}):
                return
            try:
                done = await self._engine.relink(place, key, found[0].version, wanted, release_epoch)
            except Released:
                continue
            if done:
                confirmed = [(link.digest, ()) for link in wanted]
                await self._catalogue.settle(self._namespace, place.connector, confirmed)
            return

    async def _hold(self, connector: str, digests: set[Digest]) -> bool:
        """Hold before link (rule P1); false where a blob went meanwhile. What is not linked then is released again."""
        await self._catalogue.rehold(self._namespace, connector, digests)
        missing = digests - (await self._catalogue.hold(self._namespace, connector, digests, time.time())).keys()
        if missing:
            await self._collector.release(self._namespace, connector, missing)
        return not missing
