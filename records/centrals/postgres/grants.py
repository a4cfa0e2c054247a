"""Grants, in PostgreSQL."""

from blobstore.postgres import Connection, Record
from records.central import Owner, StoredGrant, Token
from records.centrals.postgres.access import insert_token
from records.centrals.postgres.chain import chain
from records.centrals.postgres.schema import SUBJECT, OnDatabase, lock, raw, raw_or_none, require_present, text
from records.centrals.postgres.state import forget_namespace
from records.errors import Conflict

_GRANT = (
    f"grants.id, owner, {SUBJECT}, owners.erased_at,"
    " client, connector, document, grants.created_at, expires_at, revoked_at"
)
_GRANTS = f"SELECT {_GRANT} FROM central.grants JOIN central.owners ON owners.id = grants.owner"


class Grants(OnDatabase):
    """The part of the port about what clients may see."""

    async def add_grant(self, grant: StoredGrant, token: Token, event: bytes) -> None:
        async def work(db: Connection) -> None:
            end = await lock(db, grant.owner.id)
            await require_present(db, grant.owner.id)
            await _insert(db, grant)
            await insert_token(db, token)
            await chain(db, end, [event], grant.created_at)

        await self._db.write(work)

    async def grant(self, grant: str) -> StoredGrant | None:
        row = await self._db.fetchrow(f"{_GRANTS} WHERE grants.id = $1", raw(grant))
        return None if row is None else _to_grant(row)

    async def grants(self, owner: str) -> list[StoredGrant]:
        sql = f"{_GRANTS} WHERE owner = $1 ORDER BY grants.created_at, number"
        return [_to_grant(row) for row in await self._db.fetch(sql, owner)]

    async def latest_grants(self, owner: str, after: str | None, limit: int) -> list[StoredGrant]:
        beyond = "(SELECT created_at, number FROM central.grants WHERE owner = $1 AND id = $2)"
        sql = (
            f"{_GRANTS} WHERE owner = $1 AND ($2::bytea IS NULL OR (grants.created_at, number) < {beyond})"
            " ORDER BY grants.created_at DESC, number DESC LIMIT $3"
        )
        return [_to_grant(row) for row in await self._db.fetch(sql, owner, raw_or_none(after), limit)]

    async def revoke_grant(self, owner: str, grant: str, now: str, event: bytes) -> bool:
        async def work(db: Connection) -> bool:
            sql = "SELECT revoked_at FROM central.grants WHERE id = $1 AND owner = $2"
            if await db.fetchrow(sql, raw(grant), owner) is None:
                return False
            end = await lock(db, owner)
            sql = "UPDATE central.grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING true"
            if await db.fetchval(sql, raw(grant), now):
                await forget_namespace(db, owner, grant)
                await chain(db, end, [event], now)
            return True

        return await self._db.write(work)


async def _insert(db: Connection, grant: StoredGrant) -> None:
    added = await db.fetchval(
        "INSERT INTO central.grants (id, owner, client, connector, document, created_at, expires_at, revoked_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING RETURNING true",
        raw(grant.id),
        grant.owner.id,
        raw(grant.client),
        raw(grant.connector),
        grant.document,
        grant.created_at,
        grant.expires_at,
        grant.revoked_at,
    )
    if not added:
        raise Conflict("there is a grant with this id")


def _to_grant(row: Record) -> StoredGrant:
    id, owner, subject, erased_at, client, connector, *rest = row
    return StoredGrant(text(id), Owner(owner, text(subject), erased_at), text(client), text(connector), *rest)
