"""What a merge would bring of blobs, each counted once: in a scratch database, for memory may not hold them."""

from collections.abc import Collection

from blobstore.digest import Digest
from blobstore.scratch import ScratchDatabase
from blobstore.store import BlobStore
from blobstore.threads import to_the_end
from records.central import Owner


class Planned:
    """Blobs of one connector. `close` it whatever happens."""

    def __init__(self, blobs: BlobStore, ours: Owner | None, connector: str) -> None:
        self._blobs = blobs
        self._ours = ours
        self._connector = connector
        self._scratch: ScratchDatabase | None = None

    async def add(self, digests: Collection[Digest]) -> int:
        """How many of these the connector does not hold here, and that were not added before."""
        missing = set(digests) - await self._held(digests)
        return await to_the_end(self._blobs.submit(self._insert, missing)) if missing else 0

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        if self._scratch is not None:
            self._scratch.close()

    async def _held(self, digests: Collection[Digest]) -> set[Digest]:
        """What the connector holds, or claims, and is live: as a hold finds it."""
        if self._ours is None or not digests:
            return set()
        catalogue = self._blobs.catalogue
        live = {each.name.digest for each in await catalogue.live(self._ours.id, digests)}
        shares = await catalogue.shares(self._ours.id, self._connector, [""], digests)
        return {each.digest for each in shares if each.held or each.covered} & live

    def _insert(self, digests: Collection[Digest]) -> int:
        if self._scratch is None:
            self._scratch = ScratchDatabase(self._blobs.staging)
            self._scratch.execute("CREATE TABLE planned (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        sql = "INSERT OR IGNORE INTO planned VALUES (?)"
        return sum(self._scratch.execute(sql, (digest.raw,)).rowcount for digest in sorted(digests))
