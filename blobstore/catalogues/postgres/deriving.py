"""What was made of blobs: kept while they are there, and no more than so many."""

from collections.abc import Sequence

from blobstore.catalogues.postgres.schema import OnDatabase
from blobstore.derived import MOST, Derived
from blobstore.digest import Digest
from blobstore.postgres import Connection


class Deriving(OnDatabase):
    """The part of the port that thumbnails use."""

    async def keep_derived(self, namespace: str, digest: Digest, derived: Derived, most: int = MOST) -> None:
        async def run(db: Connection) -> None:
            key = (namespace, digest.raw, derived.kind)
            await db.execute(_FORGET_ONE, *key)
            number = await db.fetchval(_KEEP, *key, derived.key)
            if number is not None:
                await db.execute(
                    "INSERT INTO catalogue.derived_bytes (number, sealed) VALUES ($1, $2)", number, derived.sealed
                )
            await db.execute(_FORGET_OLDEST, namespace, most)

        await self._write(namespace, run)

    async def derived(self, namespace: str, digest: Digest, kind: str) -> Derived | None:
        rows = await self._database.fetch(_FIND, namespace, digest.raw, kind)
        return Derived(*rows[0]) if rows else None


async def forget_derived(db: Connection, namespace: str, digests: Sequence[bytes]) -> None:
    """These blobs go: so does what was made of them."""
    await db.execute(_FORGET_ALL, namespace, digests)


_LIVE = """
EXISTS (SELECT 1 FROM catalogue.blobs b WHERE b.namespace = $1 AND b.digest = $2 AND b.state = 'live')
"""
_FIND = f"""
SELECT kind, key, sealed FROM catalogue.derived JOIN catalogue.derived_bytes USING (number)
WHERE namespace = $1 AND digest = $2 AND kind = $3 AND {_LIVE}
"""
_KEEP = f"""
INSERT INTO catalogue.derived (namespace, digest, kind, number, key)
SELECT $1::text, $2::bytea, $3::text, nextval('catalogue.counter'), $4::bytea WHERE {_LIVE} RETURNING number
"""
_FORGET = """
WITH gone AS (DELETE FROM catalogue.derived WHERE namespace = $1 AND {} RETURNING number)
DELETE FROM catalogue.derived_bytes d USING gone WHERE d.number = gone.number
"""
_FORGET_ONE = _FORGET.format("digest = $2 AND kind = $3")
_FORGET_ALL = _FORGET.format("digest = ANY ($2)")
_FORGET_OLDEST = _FORGET.format("""number <= (
    SELECT number FROM catalogue.derived WHERE namespace = $1 ORDER BY number DESC LIMIT 1 OFFSET $2)
""")
