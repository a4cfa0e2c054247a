"""Grants, in SQLite."""

from blobstore.sqlite import sqlite3
from blobstore.sqlite.recalled import SMALL
from records.central import Owner, StoredGrant, Token
from records.centrals.sqlite.access import insert_token
from records.centrals.sqlite.chain import chain
from records.centrals.sqlite.schema import SUBJECT, OnFile, Row, require_present
from records.centrals.sqlite.state import forget_namespace
from records.errors import Conflict

_GRANT = (
    f"grants.id, owner, {SUBJECT}, owners.erased_at,"
    " client, connector, document, grants.created_at, expires_at, revoked_at"
)
_GRANTS = f"SELECT {_GRANT} FROM grants JOIN owners ON owners.id = grants.owner"


class Grants(OnFile):
    """The part of the port about what clients may see."""

    async def add_grant(self, grant: StoredGrant, token: Token, event: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            require_present(db, grant.owner.id)
            if _grant(db, grant.id) is not None:
                raise Conflict("there is a grant with this id")
            db.execute(
                "INSERT INTO grants (id, owner, client, connector, document, created_at, expires_at, revoked_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    grant.id,
                    grant.owner.id,
                    grant.client,
                    grant.connector,
                    grant.document,
                    grant.created_at,
                    grant.expires_at,
                    grant.revoked_at,
                ),
            )
            insert_token(db, token)
            chain(db, grant.owner.id, [event], grant.created_at)

        await self._file.write(run)

    async def grant(self, grant: str) -> StoredGrant | None:
        return await self._file.recall(
            ("grant", grant),
            lambda db: _grant(db, grant),
            lambda found: SMALL + (0 if found is None else len(found.document)),
        )

    async def grants(self, owner: str) -> list[StoredGrant]:
        sql = f"{_GRANTS} WHERE owner = ? ORDER BY grants.created_at, number"
        return [_to_grant(row) for row in await self._file.read(lambda db: db.execute(sql, (owner,)).fetchall())]

    async def latest_grants(self, owner: str, after: str | None, limit: int) -> list[StoredGrant]:
        beyond = "(SELECT created_at, number FROM grants WHERE owner = :owner AND id = :after)"
        sql = (
            f"{_GRANTS} WHERE owner = :owner AND (:after IS NULL OR (grants.created_at, number) < {beyond})"
            " ORDER BY grants.created_at DESC, number DESC LIMIT :limit"
        )
        values = {"owner": owner, "after": after, "limit": limit}
        return [_to_grant(row) for row in await self._file.read(lambda db: db.execute(sql, values).fetchall())]

    async def revoke_grant(self, owner: str, grant: str, now: str, event: bytes) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            there = _grant(db, grant)
            if there is None or there.owner.id != owner:
                return False
            if there.revoked_at is None:
                db.execute("UPDATE grants SET revoked_at = ? WHERE id = ?", (now, grant))
                forget_namespace(db, owner, grant)
                chain(db, owner, [event], now)
            return True

        return await self._file.write(run)


def _grant(db: sqlite3.Connection, grant: str) -> StoredGrant | None:
    row = db.execute(f"{_GRANTS} WHERE grants.id = ?", (grant,)).fetchone()
    return None if row is None else _to_grant(row)


def _to_grant(row: Row) -> StoredGrant:
    id, owner, subject, erased_at, *rest = row
    return StoredGrant(id, Owner(owner, subject, erased_at), *rest)
