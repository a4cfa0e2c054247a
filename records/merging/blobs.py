"""Bytes on their way from another directory: only those that the connector does not hold here yet."""

import time
from collections.abc import Sequence

from blobstore.digest import Digest
from blobstore.store import Expected
from records.central import Owner
from records.consent.scope import Selector
from records.merging.places import Match
from records.model import Partition
from records.slots import parse
from records.store import RecordStore
from records.transfer import Held
from records.writing.attachments import Target
from records.writing.links import DEFAULT_MEDIA_TYPE

PIECE = 1 << 20
"""Bytes that are read and written at once."""

PAGE = 500
"""Claims that are read at once."""


class Blobs:
    """Brings the bytes of one connector."""

    def __init__(self, there: RecordStore, here: RecordStore, theirs: Owner, ours: Owner | None, match: Match) -> None:
        self._there = there
        self._here = here
        self._theirs = theirs
        self._ours = ours
        self._match = match

    async def bring(self, place: Partition, records: Sequence[Held]) -> int:
        """What these records of a stream link and the connector does not hold; how many were uploaded."""
        assert self._ours is not None
        links = {link.digest: (each.record.key, link) for each in records for link in each.links}
        catalogue = self._here.blobs.catalogue
        held = await catalogue.hold(self._ours.id, place.connector, links.keys(), time.time()) if links else {}
        missing = links.keys() - held.keys()
        for digest in sorted(missing):
            key, link = links[digest]
            await self._upload(place, key, link.pointer, link.media_type, digest)
        return len(missing)

    async def claims(self, *, dry: bool) -> int:
        """What waits there for records that have not come, and waits here from now on; how many.

        `dry`: it is only counted.
        """
        # When bytes came is not known that well: whose record has not come since the erasure is uploaded again.
        names = self._match.names.keys() - self._match.erased_at.keys()
        count = 0
        after: tuple[str, Digest] | None = None
        catalogue = self._there.blobs.catalogue
        while page := await catalogue.claims_by(self._theirs.id, self._match.connector, PAGE, after):
            live = {each.name.digest for each in await catalogue.live(self._theirs.id, {each.digest for each in page})}
            for each in page:
                instance, stream, key, where = parse(each.claim.slot)
                known = instance in names and stream in self._match.manifest.streams
                if known and each.digest in live and each.claim.expires_at > time.time():
                    place = Partition(self._match.connector, self._match.names[instance], stream)
                    media = each.claim.media_type or DEFAULT_MEDIA_TYPE
                    if not dry:
                        await self._upload(place, key, where, media, each.digest)
                    count += 1
            after = page[-1].claim.slot, page[-1].digest
        return count

    async def _upload(self, place: Partition, key: str, where: str, media: str, digest: Digest) -> None:
        assert self._ours is not None
        async with await self._there.blobs.open_blob(self._theirs.id, digest) as blob:
            receiving = await self._here.attachments.receive(
                self._ours,
                Target(Selector(place.connector, place.instance), place.stream, key, media, where),
                blob.size,
            )
            async with receiving as upload:
                for offset in range(0, blob.size, PIECE):
                    await upload.write(await blob.read(offset, min(PIECE, blob.size - offset)))
                await upload.finish(Expected(size=blob.size, digest=digest))
