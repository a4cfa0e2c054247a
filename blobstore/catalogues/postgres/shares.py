"""Who else has a blob: what is asked before somebody lets go of it for good."""

from collections.abc import Collection

from blobstore.catalogue import Share
from blobstore.catalogues.postgres.rows import beyond
from blobstore.catalogues.postgres.schema import OnDatabase
from blobstore.digest import Digest
from blobstore.postgres import Connection, Record


class Shares(OnDatabase):
    """The part of the port that previews use."""

    async def claimed(
        self, namespace: str, holder: str, beginnings: Collection[str], after: Digest | None, limit: int
    ) -> list[Digest]:
        firsts = [each.encode() for each in beginnings]
        start = b"" if after is None else after.raw
        values = (namespace, holder.encode(), firsts, [beyond(each) for each in firsts], start, limit)
        return [Digest.from_bytes(row[0]) for row in await self._database.fetch(_CLAIMED, *values)]

    async def shares(
        self, namespace: str, holder: str, beginnings: Collection[str], digests: Collection[Digest]
    ) -> list[Share]:
        asked = sorted({digest.raw for digest in digests})

        async def run(db: Connection) -> tuple[list[Record], ...]:
            return (
                await db.fetch(_SIZES, namespace, asked),
                await db.fetch(_HOLDERS, namespace, asked),
                await db.fetch(_CLAIMS, namespace, asked),
            )

        sizes, holders, claims = await self._database.read(run)
        covered = tuple(each.encode() for each in beginnings)
        parts = {digest: _Parts(holder.encode(), covered) for digest, _ in sizes}
        for digest, who in holders:
            if digest in parts:
                parts[digest].hold(who)
        for digest, who, scope, slot in claims:
            if digest in parts:
                parts[digest].claim(who, scope, slot)
        return [parts[digest].share(Digest.from_bytes(digest), size) for digest, size in sizes]


class _Parts:
    """What is seen of one blob by one holder."""

    def __init__(self, holder: bytes, covered: tuple[bytes, ...]) -> None:
        self._holder = holder
        self._covering = covered
        self._others: set[bytes] = set()
        self._scopes: set[bytes] = set()
        self._held = self._covered = False

    def hold(self, who: bytes) -> None:
        if who == self._holder:
            self._held = True
        else:
            self._others.add(who)

    def claim(self, who: bytes, scope: bytes, slot: bytes) -> None:
        if who != self._holder:
            self._others.add(who)
        elif slot.startswith(self._covering):
            self._covered = True
        else:
            self._scopes.add(scope)

    def share(self, digest: Digest, size: int) -> Share:
        others = frozenset(each.decode() for each in self._others)
        return Share(digest, size, others, self._held, self._covered, frozenset(each.decode() for each in self._scopes))


_SIZES = """
SELECT digest, sum(size)::bigint FROM catalogue.blobs
WHERE namespace = $1 AND digest = ANY ($2) AND state != 'condemned' GROUP BY digest ORDER BY digest
"""

_HOLDERS = "SELECT digest, holder FROM catalogue.holders WHERE namespace = $1 AND digest = ANY ($2)"

_CLAIMS = "SELECT digest, holder, scope, slot FROM catalogue.claims WHERE namespace = $1 AND digest = ANY ($2)"

_CLAIMED = """
SELECT DISTINCT digest FROM catalogue.claims c, unnest($3::bytea[], $4::bytea[]) AS x (first, beyond)
WHERE namespace = $1 AND holder = $2 AND digest > $5
  AND slot >= x.first AND (x.beyond IS NULL OR slot < x.beyond)
  AND substring(slot FROM 1 FOR 256) >= substring(x.first FROM 1 FOR 256)
ORDER BY digest LIMIT $6
"""
