"""Which blobs a target of an erasure links, and what else links them."""

from collections.abc import Collection, Sequence

from blobstore.digest import Digest
from blobstore.postgres import Connection
from records.engines.postgres.links import placed
from records.engines.postgres.schema import InDatabase, connector_id, listed, partition_of
from records.model import Linking, Partition, PlacedLink, Target


class Linkings(InDatabase):
    """The part of the port that previews use."""

    async def first_links(
        self, target: Target, after: tuple[Partition, str, str] | None, limit: int
    ) -> list[PlacedLink]:
        async def run(db: Connection) -> list[PlacedLink]:
            await self.require_here(db, target.connector)
            found: list[PlacedLink] = []
            earlier: list[bytes] = []
            sql, values = covered(_LINKING, self._owner, target)
            for part, *names in await db.fetch(sql, *values):
                place = partition_of(*names)
                if after is None or place >= after[0]:
                    start = after[1:] if after is not None and place == after[0] else None
                    found += await self._first(db, target, place, part, earlier, start, limit - len(found))
                if len(found) == limit:
                    break
                earlier.append(part)
            return found

        return await self._database.read(run)

    async def _first(
        self,
        db: Connection,
        target: Target,
        place: Partition,
        part: bytes,
        earlier: Sequence[bytes],
        start: tuple[str, str] | None,
        limit: int,
    ) -> list[PlacedLink]:
        """Links of one partition that are the first of their blobs in the target."""
        one, sooner = ("", "") if target.key is None else ("AND l.key = $8", "AND e.key = $8")
        sql = _FIRST.format(one=one, sooner=sooner, beyond=">=" if start is None else ">")
        values = [each.encode() for each in (*(start or ("", "")), *([] if target.key is None else [target.key]))]
        key, pointer, *which = values
        connector = connector_id(target.connector)
        before = [each + b"l" for each in earlier]
        rows = await db.fetch(sql, self._owner, connector, part, before, key, pointer, limit, *which)
        return [placed(place, row) for row in rows]

    async def linking(self, target: Target, digests: Collection[Digest]) -> list[Linking]:
        wanted = [digest.raw for digest in sorted(set(digests))]
        key = None if target.key is None else target.key.encode()
        rows = await self.fetch([target.connector], _WHERE, connector_id(target.connector), wanted, key)
        found: list[Linking] = []
        for digest, *names, here, elsewhere in rows:
            place = partition_of(*names)
            inside = target.instance in (None, place.instance) and target.stream in (None, place.stream)
            within, beside = inside and here, elsewhere or not inside
            found.append(Linking(Digest.from_bytes(digest), place, within, beside))
        return found


def covered(sql: str, owner: str, target: Target) -> tuple[str, list[object]]:
    """The statement, with its values, for the partitions of a target."""
    which = [
        (name, value) for name, value in (("instance", target.instance), ("stream", target.stream)) if value is not None
    ]
    conditions = "".join(f" AND {name} = ${number}" for number, (name, _) in enumerate(which, 3))
    values: list[object] = [owner, connector_id(target.connector), *(value.encode() for _, value in which)]
    return sql.format(which=conditions), values


_LINKING = """
SELECT part, connector_name, instance, stream FROM records.partitions
WHERE owner = $1 AND connector = $2 AND links > 0 {which} ORDER BY instance, stream
"""

# A blob that is linked before: in the same partition, or in one of the earlier.
_FIRST = f"""
SELECT l.key, l.digest, l.pointer, l.media_type, l.filename, l.size FROM records.links l
WHERE l.owner = $1 AND l.part = $3 AND l.key >= $5 AND (l.key, l.pointer) {{beyond}} ($5, $6) {{one}}
    AND (
        SELECT true FROM records.links e
        WHERE e.owner = $1 AND e.connector = $2 AND e.digest = l.digest AND {listed("e.part")} = {listed("$3")}
            AND (e.key, e.number) < (l.key, l.number) {{sooner}} LIMIT 1
    ) IS NULL
    AND (
        SELECT true FROM records.links e
        WHERE e.owner = $1 AND e.connector = $2 AND e.digest = l.digest
            AND {listed("e.part")} = ANY($4::bytea[]) {{sooner}} LIMIT 1
    ) IS NULL
ORDER BY l.key, l.number LIMIT $7
"""

_LINKS = f"""
coalesce((SELECT true FROM records.links l
          WHERE l.owner = $1 AND l.connector = $2 AND l.digest = w.digest
              AND {listed("l.part")} = {listed("p.part")} {{which}} LIMIT 1), false)
"""

# Of one key: whether it links the blob, and whether one below or above it does.
_WHERE = f"""
SELECT * FROM (
    SELECT w.digest, p.connector_name, p.instance, p.stream,
           CASE WHEN $4::bytea IS NULL THEN {_LINKS.format(which="")} ELSE {_LINKS.format(which="AND l.key = $4")} END
               AS here,
           CASE WHEN $4 IS NULL THEN false
                ELSE {_LINKS.format(which="AND l.key < $4")} OR {_LINKS.format(which="AND l.key > $4")} END AS elsewhere
    FROM unnest($3::bytea[]) AS w(digest) CROSS JOIN records.partitions p
    WHERE p.owner = $1 AND p.connector = $2 AND p.links > 0
) AS each
WHERE here OR elsewhere ORDER BY digest, instance, stream
"""
