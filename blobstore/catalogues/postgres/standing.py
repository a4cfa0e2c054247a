"""What each generation stands on: for those who check or count the whole catalogue, in pieces."""

from collections.abc import Collection

from blobstore.backend import ObjectName
from blobstore.catalogue import Standing
from blobstore.catalogues.postgres.rows import STORED, stored
from blobstore.catalogues.postgres.schema import UNUSED, OnDatabase
from blobstore.digest import Digest

_SAME_BLOB = "x.namespace = b.namespace AND x.digest = b.digest"
_SURVEY = f"""
SELECT orphaned_at, (SELECT count(*) FROM catalogue.holders x WHERE {_SAME_BLOB}),
       (SELECT count(*) FROM catalogue.claims x WHERE {_SAME_BLOB}), {STORED}
FROM catalogue.blobs b WHERE (namespace, digest, generation) > ($1, $2, $3)
ORDER BY namespace, digest, generation LIMIT $4
"""
_PARTIES = """
SELECT namespace, holder FROM catalogue.holders UNION SELECT namespace, holder FROM catalogue.claims ORDER BY 1, 2
"""
_REMARK = f"""
UPDATE catalogue.blobs b SET orphaned_at = CASE WHEN {UNUSED} THEN coalesce(orphaned_at, $3) END
WHERE namespace = $1 AND digest = ANY ($2) AND state != 'condemned'
"""


class Standings(OnDatabase):
    """The part of the port that checks and counts use."""

    async def survey(self, after: ObjectName | None, limit: int) -> list[Standing]:
        start = ("", b"", "") if after is None else (after.namespace, after.digest.raw, after.generation)
        rows = await self._database.fetch(_SURVEY, *start, limit)
        return [Standing(stored(row), holders, claims, since) for since, holders, claims, *row in rows]

    async def parties(self) -> list[tuple[str, str]]:
        return [(namespace, holder.decode()) for namespace, holder in await self._database.fetch(_PARTIES)]

    async def remark(self, namespace: str, digests: Collection[Digest], now: float) -> None:
        raw = [digest.raw for digest in digests]
        await self._write(namespace, lambda db: db.execute(_REMARK, namespace, raw, now))
