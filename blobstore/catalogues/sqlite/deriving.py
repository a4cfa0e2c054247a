"""What was made of blobs: kept while they are there, and no more than so many."""

import json
from collections.abc import Iterable

from blobstore.catalogues.sqlite.schema import OnFile, next_count
from blobstore.derived import MOST, Derived
from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale

_LIVE = "EXISTS (SELECT 1 FROM blobs WHERE namespace = ?1 AND digest = ?2 AND state = 'live')"
_OLDEST = """
namespace = ?1 AND number <= (SELECT number FROM derived WHERE namespace = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
"""
_FIND = f"""
SELECT kind, key, sealed FROM derived JOIN derived_bytes USING (number)
WHERE namespace = ?1 AND digest = ?2 AND kind = ?3 AND {_LIVE}
"""


class Deriving(OnFile):
    """The part of the port that thumbnails use."""

    async def keep_derived(self, namespace: str, digest: Digest, derived: Derived, most: int = MOST) -> None:
        def run(db: sqlite3.Connection) -> None:
            key = (namespace, digest.raw, derived.kind)
            _forget(db, "namespace = ?1 AND digest = ?2 AND kind = ?3", key)
            number = next_count(db)
            kept = db.execute(
                f"INSERT INTO derived (namespace, digest, kind, number, key) SELECT ?1, ?2, ?3, ?4, ?5 WHERE {_LIVE}",
                (*key, number, derived.key),
            )
            if kept.rowcount:
                db.execute("INSERT INTO derived_bytes (number, sealed) VALUES (?, ?)", (number, derived.sealed))
            _forget(db, _OLDEST, (namespace, most))

        await self._file.write(run)

    async def derived(self, namespace: str, digest: Digest, kind: str) -> Derived | None:
        row = await self._file.read(lambda db: db.execute(_FIND, (namespace, digest.raw, kind)).fetchone())
        return None if row is None else Derived(*row)


def forget_derived(db: sqlite3.Connection, namespace: str, digests: Iterable[bytes]) -> None:
    """These blobs go: so does what was made of them."""
    listed = json.dumps([digest.hex() for digest in digests])
    _forget(db, "namespace = ?1 AND digest IN (SELECT unhex(value) FROM json_each(?2))", (namespace, listed))


def _forget(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> None:
    gone = db.execute(f"DELETE FROM derived WHERE {where} RETURNING number", values).fetchall()
    if gone:
        mark_stale(db)
        db.executemany("DELETE FROM derived_bytes WHERE number = ?", gone)
