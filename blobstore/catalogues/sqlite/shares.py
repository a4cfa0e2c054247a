"""Who else has a blob: what is asked before somebody lets go of it for good."""

from collections.abc import Collection

from blobstore.catalogue import Share
from blobstore.catalogues.sqlite.schema import SLOTS, OnFile, slots
from blobstore.digest import Digest
from blobstore.sqlite import sqlite3


class Shares(OnFile):
    """The part of the port that previews use."""

    async def claimed(
        self, namespace: str, holder: str, beginnings: Collection[str], after: Digest | None, limit: int
    ) -> list[Digest]:
        beyond = b"" if after is None else after.raw

        def run(db: sqlite3.Connection) -> set[bytes]:
            asked = [(namespace, holder, *slots(each), beyond, limit) for each in beginnings]
            return {row[0] for values in asked for row in db.execute(_CLAIMED, values)}

        return [Digest.from_bytes(raw) for raw in sorted(await self._file.read(run))[:limit]]

    async def shares(
        self, namespace: str, holder: str, beginnings: Collection[str], digests: Collection[Digest]
    ) -> list[Share]:
        covered = tuple(beginnings)

        def run(db: sqlite3.Connection) -> list[Share]:
            found = (_share(db, namespace, holder, covered, digest) for digest in sorted(set(digests)))
            return [share for share in found if share is not None]

        return await self._file.read(run)


def _share(
    db: sqlite3.Connection, namespace: str, holder: str, covered: tuple[str, ...], digest: Digest
) -> Share | None:
    blob = (namespace, digest.raw)
    size = db.execute(_SIZE, blob).fetchone()[0]
    if size is None:
        return None
    holders = {row[0] for row in db.execute(_HOLDERS, blob)}
    others = holders - {holder}
    within, scopes = False, set()
    for who, scope, slot in db.execute(_CLAIMS, blob):
        if who != holder:
            others.add(who)
        elif slot.startswith(covered):
            within = True
        else:
            scopes.add(scope)
    return Share(digest, size, frozenset(others), holder in holders, within, frozenset(scopes))


_SIZE = "SELECT sum(size) FROM blobs WHERE namespace = ? AND digest = ? AND state != 'condemned'"

_HOLDERS = "SELECT holder FROM holders WHERE namespace = ? AND digest = ?"

_CLAIMS = "SELECT holder, scope, slot FROM claims WHERE namespace = ? AND digest = ?"

_CLAIMED = f"""
SELECT DISTINCT digest FROM claims WHERE namespace = ? AND holder = ? AND {SLOTS} AND digest > ? ORDER BY digest LIMIT ?
"""
