"""Connectors and their instances, in PostgreSQL."""

from blobstore.postgres import Connection, Database, Record
from records.central import Connector, Instance
from records.centrals.postgres.chain import chain
from records.centrals.postgres.schema import (
    OnDatabase,
    lock,
    raw,
    raw_or_none,
    require_living,
    require_present,
    text,
)
from records.errors import Conflict

_CONNECTOR = "id, manifest, registered_at, erased_at"
INSTANCE = "id, connector, is_default, created_at, erased_at"
_DEFAULT = f"""
SELECT {INSTANCE} FROM central.instances WHERE owner = $1 AND connector = $2 AND is_default AND erased_at IS NULL
"""
_REGISTER = """
INSERT INTO central.connectors (owner, id, manifest, registered_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (owner, id) DO UPDATE SET manifest = excluded.manifest, erased_at = NULL
"""


class Registry(OnDatabase):
    """The part of the port about connectors and their accounts."""

    async def register(self, owner: str, connector: str, manifest: bytes, now: str, event: bytes) -> bool:
        async def work(db: Connection) -> bool:
            end = await lock(db, owner)
            await require_present(db, owner)
            sql = "SELECT true FROM central.connectors WHERE owner = $1 AND id = $2 AND erased_at IS NULL"
            living = await db.fetchval(sql, owner, raw(connector))
            await db.execute(_REGISTER, owner, raw(connector), manifest, now)
            await chain(db, end, [event], now)
            return living is None

        return await self._db.write(work)

    async def connector(self, owner: str, connector: str) -> Connector | None:
        sql = f"SELECT {_CONNECTOR} FROM central.connectors WHERE owner = $1 AND id = $2"
        row = await self._db.fetchrow(sql, owner, raw(connector))
        return None if row is None else _to_connector(row)

    async def connectors(self, owner: str) -> list[Connector]:
        sql = f"SELECT {_CONNECTOR} FROM central.connectors WHERE owner = $1 ORDER BY id"
        return [_to_connector(row) for row in await self._db.fetch(sql, owner)]

    async def ensure_default_instance(self, owner: str, connector: str, fresh_id: str, now: str) -> Instance:
        async def work(db: Connection) -> Instance:
            await lock(db, owner)
            await require_living(db, owner, connector)
            there = await _default(db, owner, connector)
            return there or await _add(db, owner, Instance(fresh_id, connector, True, now, None))

        # A living instance is one of a living connector: an erasure marks both at once.
        there = await _default(self._db, owner, connector)
        return await self._db.write(work) if there is None else there

    async def add_instance(self, owner: str, instance: Instance) -> Instance:
        async def work(db: Connection) -> Instance:
            await lock(db, owner)
            return await _add(db, owner, instance)

        there = await self.instance(owner, instance.id)
        return await self._db.write(work) if there is None else there

    async def instance(self, owner: str, instance: str) -> Instance | None:
        return await _instance(self._db, owner, instance)

    async def instances(self, owner: str, connector: str | None = None) -> list[Instance]:
        sql = (
            f"SELECT {INSTANCE} FROM central.instances WHERE owner = $1 AND erased_at IS NULL"
            " AND ($2::bytea IS NULL OR connector = $2) ORDER BY connector, id"
        )
        rows = await self._db.fetch(sql, owner, raw_or_none(connector))
        return [to_instance(row) for row in rows]


async def _add(db: Connection, owner: str, instance: Instance) -> Instance:
    there = await _instance(db, owner, instance.id)
    if there is not None:
        return there
    await require_living(db, owner, instance.connector)
    if instance.is_default and await _default(db, owner, instance.connector) is not None:
        raise Conflict("the connector has a default instance")
    await db.execute(
        f"INSERT INTO central.instances (owner, {INSTANCE}) VALUES ($1, $2, $3, $4, $5, $6)",
        owner,
        raw(instance.id),
        raw(instance.connector),
        instance.is_default,
        instance.created_at,
        instance.erased_at,
    )
    return instance


async def _instance(db: Connection | Database, owner: str, instance: str) -> Instance | None:
    sql = f"SELECT {INSTANCE} FROM central.instances WHERE owner = $1 AND id = $2"
    row = await db.fetchrow(sql, owner, raw(instance))
    return None if row is None else to_instance(row)


async def _default(db: Connection | Database, owner: str, connector: str) -> Instance | None:
    row = await db.fetchrow(_DEFAULT, owner, raw(connector))
    return None if row is None else to_instance(row)


def _to_connector(row: Record) -> Connector:
    id, *rest = row
    return Connector(text(id), *rest)


def to_instance(row: Record) -> Instance:
    """A row of `INSTANCE`."""
    id, connector, *rest = row
    return Instance(text(id), text(connector), *rest)
