"""Owners and their tokens, in SQLite."""

import secrets

from blobstore.sqlite import sqlite3
from records.central import Owner, Token
from records.centrals.sqlite.chain import chain
from records.centrals.sqlite.schema import SUBJECT, OnFile, Row, require_present
from records.errors import Conflict

_COLUMNS = (
    f"tokens.digest, kind, owner, {SUBJECT}, owners.erased_at,"
    " tokens.created_at, expires_at, revoked_at, label, grant_id"
)
_TOKENS = f"SELECT {_COLUMNS} FROM tokens JOIN owners ON owners.id = tokens.owner"


class Access(OnFile):
    """The part of the port about who may act."""

    async def ensure_owner(self, subject: str, now: str) -> Owner:
        def run(db: sqlite3.Connection) -> Owner:
            fresh = "o" + secrets.token_hex(8)
            there = _owner(db, subject)
            if there is None:
                db.execute("INSERT INTO owners (id, created_at) VALUES (?, ?)", (fresh, now))
                db.execute("INSERT INTO subjects VALUES (?, ?)", (fresh, subject))
            return there or Owner(fresh, subject)

        # Nearly always it is there: no need to wait for the disk.
        there = await self._file.read(lambda db: _owner(db, subject))
        return await self._file.write(run) if there is None else there

    async def owners(self) -> list[Owner]:
        sql = f"SELECT id, {SUBJECT} AS name, erased_at FROM owners ORDER BY name, id"
        return [Owner(*row) for row in await self._file.read(lambda db: db.execute(sql).fetchall())]

    async def add_token(self, token: Token, event: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            insert_token(db, token)
            chain(db, token.owner.id, [event], token.created_at)

        await self._file.write(run)

    async def token(self, digest: bytes) -> Token | None:
        return await self._file.recall(("token", digest), lambda db: _token(db, digest))

    async def tokens(self) -> list[Token]:
        sql = f"{_TOKENS} ORDER BY tokens.created_at, number"
        return [_to_token(row) for row in await self._file.read(lambda db: db.execute(sql).fetchall())]

    async def revoke_token(self, digest: bytes, now: str, event: bytes) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            token = _token(db, digest)
            if token is not None and token.revoked_at is None:
                db.execute("UPDATE tokens SET revoked_at = ? WHERE digest = ?", (now, digest))
                chain(db, token.owner.id, [event], now)
            return token is not None

        return await self._file.write(run)


def insert_token(db: sqlite3.Connection, token: Token) -> None:
    """Add a token in the transaction that is open. Raises `Unknown`, `Conflict`."""
    require_present(db, token.owner.id)
    if _token(db, token.digest) is not None:
        raise Conflict("there is a token with this digest")
    db.execute(
        "INSERT INTO tokens (digest, kind, owner, created_at, expires_at, revoked_at, label, grant_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token.digest,
            token.kind,
            token.owner.id,
            token.created_at,
            token.expires_at,
            token.revoked_at,
            token.label,
            token.grant,
        ),
    )


def _owner(db: sqlite3.Connection, subject: str) -> Owner | None:
    row = db.execute("SELECT owner, subject FROM subjects WHERE subject = ?", (subject,)).fetchone()
    return None if row is None else Owner(*row)


def _token(db: sqlite3.Connection, digest: bytes) -> Token | None:
    row = db.execute(f"{_TOKENS} WHERE tokens.digest = ?", (digest,)).fetchone()
    return None if row is None else _to_token(row)


def _to_token(row: Row) -> Token:
    digest, kind, owner, subject, erased_at, created_at, expires_at, revoked_at, label, grant = row
    return Token(digest, kind, Owner(owner, subject, erased_at), created_at, expires_at, revoked_at, label, grant)
