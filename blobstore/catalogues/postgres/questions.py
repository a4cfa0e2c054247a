"""Questions to the catalogue; nothing here changes it."""

from collections.abc import Collection as Several

from blobstore.backend import ObjectName
from blobstore.catalogue import ClaimedBlob, Gone, Holder, Lease, Stored, Totals
from blobstore.catalogues.postgres.rows import (
    CLAIM,
    HOLDER,
    LEASE,
    STORED,
    claimed,
    lease,
    name,
    stored,
    to_holder,
)
from blobstore.catalogues.postgres.schema import OnDatabase
from blobstore.digest import Digest


class Questions(OnDatabase):
    """The part of the port that only reads."""

    async def store_id(self) -> str:
        return str(await self._database.fetchval("SELECT id FROM catalogue.store"))

    async def find(self, namespace: str, digest: Digest) -> Stored | None:
        return await self._live("digest", namespace, digest.raw)

    async def live(self, namespace: str, digests: Several[Digest]) -> list[Stored]:
        sql = f"""
            SELECT {STORED} FROM catalogue.blobs
            WHERE namespace = $1 AND digest = ANY ($2) AND state = 'live' ORDER BY digest"""
        rows = await self._database.fetch(sql, namespace, [digest.raw for digest in digests])
        return [stored(row) for row in rows]

    async def find_sha256(self, namespace: str, sha256: bytes) -> Stored | None:
        return await self._live("sha256", namespace, sha256)

    async def generations(self, namespace: str, digest: Digest) -> list[Stored]:
        sql = f"SELECT {STORED} FROM catalogue.blobs WHERE namespace = $1 AND digest = $2 ORDER BY generation"
        return [stored(row) for row in await self._database.fetch(sql, namespace, digest.raw)]

    async def holders_of(self, namespace: str, digest: Digest) -> list[Holder]:
        sql = f"SELECT {HOLDER} FROM catalogue.holders WHERE namespace = $1 AND digest = $2 ORDER BY holder"
        return [to_holder(row) for row in await self._database.fetch(sql, namespace, digest.raw)]

    async def claims_of(self, namespace: str, digest: Digest) -> list[ClaimedBlob]:
        sql = f"SELECT {CLAIM} FROM catalogue.claims WHERE namespace = $1 AND digest = $2 ORDER BY holder, slot"
        return [claimed(row) for row in await self._database.fetch(sql, namespace, digest.raw)]

    async def claims_by(
        self, namespace: str, holder: str, limit: int, after: tuple[str, Digest] | None = None
    ) -> list[ClaimedBlob]:
        start = (b"", b"") if after is None else (after[0].encode(), after[1].raw)
        sql = f"""
            SELECT {CLAIM} FROM catalogue.claims
            WHERE namespace = $1 AND holder = $2 AND (slot, digest) > ($3, $4)
              AND substring(slot FROM 1 FOR 256) >= substring($3::bytea FROM 1 FOR 256)
            ORDER BY substring(slot FROM 1 FOR 256), slot, digest LIMIT $5"""
        return [claimed(row) for row in await self._database.fetch(sql, namespace, holder.encode(), *start, limit)]

    async def gone(self, namespace: str, digest: Digest) -> list[Gone]:
        sql = """
            SELECT generation, size, reason, at FROM catalogue.gone
            WHERE namespace = $1 AND digest = $2 ORDER BY at, generation"""
        rows = await self._database.fetch(sql, namespace, digest.raw)
        return [Gone(name(namespace, digest.raw, generation), *rest) for generation, *rest in rows]

    async def removed(self, namespace: str, reason: str, after: ObjectName | None, limit: int) -> list[Gone]:
        start = (b"", "") if after is None else (after.digest.raw, after.generation)
        sql = """
            SELECT digest, generation, size, reason, at FROM catalogue.gone WHERE namespace = $1 AND reason = $2
            AND (digest, generation) > ($3, $4) ORDER BY digest, generation LIMIT $5"""
        rows = await self._database.fetch(sql, namespace, reason, *start, limit)
        return [Gone(name(namespace, digest, generation), *rest) for digest, generation, *rest in rows]

    async def walk(self, after: ObjectName | None, limit: int) -> list[Stored]:
        start = ("", b"", "") if after is None else (after.namespace, after.digest.raw, after.generation)
        sql = f"""
            SELECT {STORED} FROM catalogue.blobs WHERE (namespace, digest, generation) > ($1, $2, $3)
            ORDER BY namespace, digest, generation LIMIT $4"""
        return [stored(row) for row in await self._database.fetch(sql, *start, limit)]

    async def stalest(self, before: float, limit: int) -> list[Stored]:
        sql = f"""
            SELECT {STORED} FROM catalogue.blobs WHERE state = 'live' AND verified_at < $1
            ORDER BY verified_at, namespace, digest LIMIT $2"""
        return [stored(row) for row in await self._database.fetch(sql, before, limit)]

    async def held(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Holder]:
        sql = f"""
            SELECT {HOLDER} FROM catalogue.holders
            WHERE namespace = $1 AND holder = $2 AND digest > $3 ORDER BY digest LIMIT $4"""
        start = b"" if after is None else after.raw
        rows = await self._database.fetch(sql, namespace, holder.encode(), start, limit)
        return [to_holder(row) for row in rows]

    async def leases(self, ids: Several[str] | None = None) -> list[Lease]:
        # There are no more leases than uploads under way.
        asked = None if ids is None else list(ids)
        sql = f"SELECT {LEASE} FROM catalogue.leases WHERE $1::text[] IS NULL OR id = ANY ($1) ORDER BY id"
        return [lease(row) for row in await self._database.fetch(sql, asked)]

    async def totals(self, namespace: str) -> Totals:
        sql = """
            SELECT blobs, bytes, orphans, orphan_bytes, shared_bytes FROM catalogue.totals WHERE namespace = $1"""
        row = await self._database.fetchrow(sql, namespace)
        return Totals(0, 0, 0, 0, 0) if row is None else Totals(*row)

    async def _live(self, column: str, namespace: str, value: bytes) -> Stored | None:
        sql = f"SELECT {STORED} FROM catalogue.blobs WHERE namespace = $1 AND {column} = $2 AND state = 'live'"
        row = await self._database.fetchrow(sql, namespace, value)
        return None if row is None else stored(row)
