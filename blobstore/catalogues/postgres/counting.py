"""What counts against quotas, kept up to date in the transactions that change it, under their namespace's lock."""

from collections import defaultdict
from collections.abc import Iterable

from blobstore.backend import ObjectName
from blobstore.postgres import Connection, Record

WHOLE = b""
"""In place of a holder: the namespace as a whole."""


class Changes:
    """How volumes change in one transaction: gathered, then written by one statement."""

    def __init__(self) -> None:
        self._stored: defaultdict[tuple[str, bytes], int] = defaultdict(int)
        self._reserved: defaultdict[tuple[str, bytes], int] = defaultdict(int)

    def stored(self, namespace: str, holder: bytes, size: int) -> None:
        """So many bytes more (or fewer) are stored."""
        self._stored[namespace, holder] += size

    def reserved(self, namespace: str, holder: bytes, size: int) -> None:
        """So many bytes more (or fewer) are reserved by a holder, and so in the whole namespace."""
        self._reserved[namespace, holder] += size
        self._reserved[namespace, WHOLE] += size

    def set(self, namespace: str, holder: bytes, stored: int, reserved: int) -> None:
        """For a volume that is not there: how it begins."""
        self._stored[namespace, holder] = stored
        self._reserved[namespace, holder] = reserved

    async def write(self, db: Connection) -> None:
        """Add them up with what is there."""
        columns = self.columns()
        if columns[0]:
            await drop_emptied(db, await db.fetch(change(1), *columns))

    def columns(self) -> tuple[list[str], list[bytes], list[int], list[int]]:
        """The values of `change`."""
        keys = sorted(key for key in {*self._stored, *self._reserved} if self._stored[key] or self._reserved[key])
        return (
            [namespace for namespace, _ in keys],
            [holder for _, holder in keys],
            [self._stored[key] for key in keys],
            [self._reserved[key] for key in keys],
        )


def change(first: int) -> str:
    """SQL that adds changes to volumes, its values from `first` on; its rows are for `drop_emptied`."""
    return _CHANGE.format(*(f"${first + place}" for place in range(4)))


async def drop_emptied(db: Connection, changed: Iterable[Record]) -> None:
    """Of who has nothing nothing is kept: a holder's name may tell something. Rows of namespace, holder, is it so."""
    emptied = [(namespace, holder) for namespace, holder, empty in changed if empty]
    if emptied:
        await db.execute(_DROP, [namespace for namespace, _ in emptied], [holder for _, holder in emptied])


async def first_or_last(db: Connection, names: Iterable[tuple[ObjectName, int]], changes: Changes, sign: int) -> None:
    """Generations were added (`sign` 1) or removed (-1), with their sizes.

    Where no other generation of the blob is there, it begins or ceases to count for whoever holds or claims it: nearly
    always nobody, for only links that the catalogue had lost are held without a generation.
    """
    given = list(names)
    blobs = {(each.namespace, each.digest.raw): size for each, size in given}
    rows = await db.fetch(
        _ALONE,
        [namespace for namespace, _ in blobs],
        [digest for _, digest in blobs],
        list(blobs.values()),
        [each.generation for each, _ in given],
    )
    for namespace, holder, size in rows:
        changes.stored(namespace, holder, sign * size)


_CHANGE = """
INSERT INTO catalogue.volumes AS v (namespace, holder, stored, reserved)
SELECT * FROM unnest({}::text[], {}::bytea[], {}::bigint[], {}::bigint[])
ON CONFLICT (namespace, holder)
DO UPDATE SET stored = v.stored + excluded.stored, reserved = v.reserved + excluded.reserved
RETURNING v.namespace, v.holder, v.stored = 0 AND v.reserved = 0
"""

_DROP = """
DELETE FROM catalogue.volumes v USING unnest($1::text[], $2::bytea[]) AS x (namespace, holder)
WHERE v.namespace = x.namespace AND v.holder = x.holder AND stored = 0 AND reserved = 0
"""

_ALONE = """
SELECT x.namespace, p.holder, sum(x.size)::bigint
FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS x (namespace, digest, size)
CROSS JOIN LATERAL (
    SELECT holder FROM catalogue.holders h WHERE h.namespace = x.namespace AND h.digest = x.digest
    UNION SELECT holder FROM catalogue.claims c WHERE c.namespace = x.namespace AND c.digest = x.digest
) p
WHERE NOT EXISTS (SELECT 1 FROM catalogue.blobs b
                  WHERE b.namespace = x.namespace AND b.digest = x.digest AND b.generation != ALL ($4::text[]))
GROUP BY x.namespace, p.holder
"""
