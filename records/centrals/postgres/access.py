"""Owners and their tokens, in PostgreSQL."""

import secrets

from blobstore.postgres import Connection, Database, Record
from records.audit import spine
from records.central import Owner, Token
from records.centrals.postgres.chain import chain
from records.centrals.postgres.schema import (
    SUBJECT,
    OnDatabase,
    lock,
    raw,
    raw_or_none,
    require_present,
    text,
    text_or_none,
)
from records.errors import Conflict

_COLUMNS = (
    f"tokens.digest, kind, owner, {SUBJECT}, owners.erased_at,"
    " tokens.created_at, expires_at, revoked_at, label, grant_id"
)
_TOKENS = f"SELECT {_COLUMNS} FROM central.tokens JOIN central.owners ON owners.id = tokens.owner"

_MAKE = """
WITH made AS (
    INSERT INTO central.owners (id, created_at, subject) VALUES ($1, $2, $3) ON CONFLICT (subject) DO NOTHING
    RETURNING id
)
INSERT INTO central.chains (owner, events, hash) SELECT id, 0, $4 FROM made RETURNING owner
"""


class Access(OnDatabase):
    """The part of the port about who may act."""

    async def ensure_owner(self, subject: str, now: str) -> Owner:
        async def work(db: Connection) -> Owner | None:
            fresh = "o" + secrets.token_hex(8)
            made = await db.fetchval(_MAKE, fresh, now, raw(subject), spine.GENESIS)
            return await _owner(db, subject) if made is None else Owner(fresh, subject)

        # Nearly always it is there: no need to wait for the disk.
        owner = await _owner(self._db, subject)
        while owner is None:  # again where the one that stood in the way was erased at this very moment
            owner = await self._db.write(work)
        return owner

    async def owners(self) -> list[Owner]:
        sql = f"SELECT id, {SUBJECT} AS name, erased_at FROM central.owners ORDER BY name, id"
        return [Owner(id, text(name), at) for id, name, at in await self._db.fetch(sql)]

    async def add_token(self, token: Token, event: bytes) -> None:
        async def work(db: Connection) -> None:
            end = await lock(db, token.owner.id)
            await require_present(db, token.owner.id)
            await insert_token(db, token)
            await chain(db, end, [event], token.created_at)

        await self._db.write(work)

    async def token(self, digest: bytes) -> Token | None:
        row = await self._db.fetchrow(f"{_TOKENS} WHERE tokens.digest = $1", digest)
        return None if row is None else _to_token(row)

    async def tokens(self) -> list[Token]:
        sql = f"{_TOKENS} ORDER BY tokens.created_at, number"
        return [_to_token(row) for row in await self._db.fetch(sql)]

    async def revoke_token(self, digest: bytes, now: str, event: bytes) -> bool:
        async def work(db: Connection) -> bool:
            owner = await db.fetchval("SELECT owner FROM central.tokens WHERE digest = $1", digest)
            if owner is None:
                return False
            end = await lock(db, owner)
            sql = "UPDATE central.tokens SET revoked_at = $2 WHERE digest = $1 AND revoked_at IS NULL RETURNING true"
            if await db.fetchval(sql, digest, now):
                await chain(db, end, [event], now)
            return True

        return await self._db.write(work)


async def insert_token(db: Connection, token: Token) -> None:
    """Add a token of an owner who is locked and present. Raises `Conflict`."""
    added = await db.fetchval(
        "INSERT INTO central.tokens (digest, kind, owner, created_at, expires_at, revoked_at, label, grant_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (digest) DO NOTHING RETURNING true",
        token.digest,
        token.kind,
        token.owner.id,
        token.created_at,
        token.expires_at,
        token.revoked_at,
        raw_or_none(token.label),
        raw_or_none(token.grant),
    )
    if not added:
        raise Conflict("there is a token with this digest")


async def _owner(db: Connection | Database, subject: str) -> Owner | None:
    id = await db.fetchval("SELECT id FROM central.owners WHERE subject = $1", raw(subject))
    return None if id is None else Owner(id, subject)


def _to_token(row: Record) -> Token:
    digest, kind, owner, subject, erased_at, created_at, expires_at, revoked_at, label, grant = row
    whose = Owner(owner, text(subject), erased_at)
    return Token(digest, kind, whose, created_at, expires_at, revoked_at, text_or_none(label), text_or_none(grant))
