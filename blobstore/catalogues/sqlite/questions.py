"""Questions to the catalogue; nothing here changes it."""

import json
from collections.abc import Collection as Several

from blobstore.backend import ObjectName
from blobstore.catalogue import CatalogueEvent, ClaimedBlob, Gone, Holder, Lease, Numbering, Stored, Totals
from blobstore.catalogues.sqlite.schema import (
    CLAIM,
    HOLDER,
    LEASE,
    STORED,
    OnFile,
    Row,
    claimed,
    lease,
    name,
    stored,
    to_holder,
)
from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlite.outbox import NUMBERING
from blobstore.sqlite.recalled import size_of_values


class Questions(OnFile):
    """The part of the port that only reads."""

    async def outbox(self, limit: int) -> list[CatalogueEvent]:
        rows = await self._all("SELECT seq, namespace, body FROM outbox ORDER BY seq LIMIT ?", limit)
        return [CatalogueEvent(*row) for row in rows]

    async def numbering(self) -> Numbering:
        return Numbering(*(await self._all(NUMBERING))[0])

    async def store_id(self) -> str:
        return str((await self._all("SELECT id FROM store"))[0][0])

    async def find(self, namespace: str, digest: Digest) -> Stored | None:
        return await self._live("digest", namespace, digest.raw)

    async def live(self, namespace: str, digests: Several[Digest]) -> list[Stored]:
        sql = f"SELECT {STORED} FROM blobs WHERE namespace = ? AND digest = ? AND state = 'live'"

        def run(db: sqlite3.Connection) -> list[Row]:
            found = (db.execute(sql, (namespace, digest.raw)).fetchone() for digest in sorted(set(digests)))
            return [row for row in found if row is not None]

        return [stored(row) for row in await self._file.read(run)]

    async def find_sha256(self, namespace: str, sha256: bytes) -> Stored | None:
        return await self._live("sha256", namespace, sha256)

    async def generations(self, namespace: str, digest: Digest) -> list[Stored]:
        sql = f"SELECT {STORED} FROM blobs WHERE namespace = ? AND digest = ? ORDER BY generation"
        return [stored(row) for row in await self._all(sql, namespace, digest.raw)]

    async def holders_of(self, namespace: str, digest: Digest) -> list[Holder]:
        sql = f"SELECT {HOLDER} FROM holders WHERE namespace = ? AND digest = ? ORDER BY holder"
        return [to_holder(row) for row in await self._recalled(sql, namespace, digest.raw)]

    async def claims_of(self, namespace: str, digest: Digest) -> list[ClaimedBlob]:
        # By the index of its second constraint: left to itself SQLite goes through all claims of the namespace.
        sql = (
            f"SELECT {CLAIM} FROM claims INDEXED BY sqlite_autoindex_claims_2"
            " WHERE namespace = ? AND digest = ? ORDER BY holder, slot"
        )
        return [claimed(row) for row in await self._recalled(sql, namespace, digest.raw)]

    async def claims_by(
        self, namespace: str, holder: str, limit: int, after: tuple[str, Digest] | None = None
    ) -> list[ClaimedBlob]:
        start = ("", b"") if after is None else (after[0], after[1].raw)
        sql = (
            f"SELECT {CLAIM} FROM claims WHERE namespace = ? AND holder = ? AND (slot, digest) > (?, ?)"
            " ORDER BY slot, digest LIMIT ?"
        )
        return [claimed(row) for row in await self._all(sql, namespace, holder, *start, limit)]

    async def gone(self, namespace: str, digest: Digest) -> list[Gone]:
        sql = "SELECT generation, size, reason, at FROM gone WHERE namespace = ? AND digest = ? ORDER BY at, generation"
        rows = await self._all(sql, namespace, digest.raw)
        return [
            Gone(name(namespace, digest.raw, generation), size, reason, at) for generation, size, reason, at in rows
        ]

    async def removed(self, namespace: str, reason: str, after: ObjectName | None, limit: int) -> list[Gone]:
        start = (b"", "") if after is None else (after.digest.raw, after.generation)
        sql = (
            "SELECT digest, generation, size, reason, at FROM gone WHERE namespace = ? AND reason = ?"
            " AND (digest, generation) > (?, ?) ORDER BY digest, generation LIMIT ?"
        )
        rows = await self._all(sql, namespace, reason, *start, limit)
        return [Gone(name(namespace, digest, generation), *rest) for digest, generation, *rest in rows]

    async def walk(self, after: ObjectName | None, limit: int) -> list[Stored]:
        start = ("", b"", "") if after is None else (after.namespace, after.digest.raw, after.generation)
        sql = (
            f"SELECT {STORED} FROM blobs WHERE (namespace, digest, generation) > (?, ?, ?)"
            " ORDER BY namespace, digest, generation LIMIT ?"
        )
        return [stored(row) for row in await self._all(sql, *start, limit)]

    async def stalest(self, before: float, limit: int) -> list[Stored]:
        sql = f"SELECT {STORED} FROM blobs WHERE state = 'live' AND verified_at < ? ORDER BY verified_at LIMIT ?"
        return [stored(row) for row in await self._all(sql, before, limit)]

    async def held(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Holder]:
        sql = f"SELECT {HOLDER} FROM holders WHERE namespace = ? AND holder = ? AND digest > ? ORDER BY digest LIMIT ?"
        rows = await self._all(sql, namespace, holder, b"" if after is None else after.raw, limit)
        return [to_holder(row) for row in rows]

    async def leases(self, ids: Several[str] | None = None) -> list[Lease]:
        # There are no more leases than uploads under way.
        if ids is None:
            return [lease(row) for row in await self._all(f"SELECT {LEASE} FROM leases ORDER BY id")]
        sql = f"SELECT {LEASE} FROM leases WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        return [lease(row) for row in await self._all(sql, json.dumps(list(ids)))]

    async def totals(self, namespace: str) -> Totals:
        sql = "SELECT blobs, bytes, orphans, orphan_bytes, shared_bytes FROM totals WHERE namespace = ?"
        rows = await self._all(sql, namespace)
        return Totals(*rows[0]) if rows else Totals(0, 0, 0, 0, 0)

    async def _live(self, column: str, namespace: str, value: bytes) -> Stored | None:
        sql = f"SELECT {STORED} FROM blobs WHERE namespace = ? AND {column} = ? AND state = 'live'"
        rows = await self._recalled(sql, namespace, value)
        return stored(rows[0]) if rows else None

    async def _recalled(self, sql: str, *parameters: object) -> list[Row]:
        """The same for what is asked with each download."""
        name = (sql, *parameters)
        return await self._file.recall(name, lambda db: db.execute(sql, parameters).fetchall(), size_of_values)

    async def _all(self, sql: str, *parameters: object) -> list[Row]:
        return await self._file.read(lambda db: db.execute(sql, parameters).fetchall())
