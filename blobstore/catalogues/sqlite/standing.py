"""What each generation stands on: for those who check or count the whole catalogue, in pieces."""

from collections.abc import Collection

from blobstore.backend import ObjectName
from blobstore.catalogue import Standing
from blobstore.catalogues.sqlite.schema import STORED, UNUSED, OnFile, stored
from blobstore.digest import Digest

_SAME_BLOB = "x.namespace = blobs.namespace AND x.digest = blobs.digest"
_SURVEY = f"""
SELECT orphaned_at, (SELECT count(*) FROM holders x WHERE {_SAME_BLOB}),
       (SELECT count(*) FROM claims x WHERE {_SAME_BLOB}), {STORED}
FROM blobs WHERE (namespace, digest, generation) > (?, ?, ?) ORDER BY namespace, digest, generation LIMIT ?
"""
_PARTIES = "SELECT namespace, holder FROM holders UNION SELECT namespace, holder FROM claims ORDER BY 1, 2"
_REMARK = f"""
UPDATE blobs SET orphaned_at = iif({UNUSED}, coalesce(orphaned_at, ?), NULL)
WHERE namespace = ? AND digest = ? AND state != 'condemned'
"""


class Standings(OnFile):
    """The part of the port that checks and counts use."""

    async def survey(self, after: ObjectName | None, limit: int) -> list[Standing]:
        start = ("", b"", "") if after is None else (after.namespace, after.digest.raw, after.generation)
        rows = await self._file.read(lambda db: db.execute(_SURVEY, (*start, limit)).fetchall())
        return [Standing(stored(tuple(row)), holders, claims, since) for since, holders, claims, *row in rows]

    async def parties(self) -> list[tuple[str, str]]:
        return await self._file.read(lambda db: db.execute(_PARTIES).fetchall())

    async def remark(self, namespace: str, digests: Collection[Digest], now: float) -> None:
        await self._file.executemany(_REMARK, [(now, namespace, digest.raw) for digest in digests])

    async def check(self) -> list[str]:
        return await self._file.check()
