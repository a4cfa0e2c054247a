"""Connectors and instances, in SQLite."""

from collections.abc import Sequence

from blobstore.sqlite import sqlite3
from blobstore.sqlite.recalled import SMALL, size_of
from records.central import Connector, Instance
from records.centrals.sqlite.chain import chain
from records.centrals.sqlite.schema import OnFile, Row, require_living, require_present
from records.errors import Conflict

_CONNECTOR = "id, manifest, registered_at, erased_at"
INSTANCE = "id, connector, is_default, created_at, erased_at"
_DEFAULT = f"SELECT {INSTANCE} FROM instances WHERE owner = ? AND connector = ? AND is_default AND erased_at IS NULL"


class Registry(OnFile):
    """The part of the port about connectors and their accounts."""

    async def register(self, owner: str, connector: str, manifest: bytes, now: str, event: bytes) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            require_present(db, owner)
            sql = "SELECT 1 FROM connectors WHERE owner = ? AND id = ? AND erased_at IS NULL"
            living = db.execute(sql, (owner, connector)).fetchone()
            db.execute(
                "INSERT INTO connectors (owner, id, manifest, registered_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET manifest = excluded.manifest, erased_at = NULL",
                (owner, connector, manifest, now),
            )
            chain(db, owner, [event], now)
            return living is None

        return await self._file.write(run)

    async def connector(self, owner: str, connector: str) -> Connector | None:
        sql = f"SELECT {_CONNECTOR} FROM connectors WHERE owner = ? AND id = ?"

        def run(db: sqlite3.Connection) -> list[Connector]:
            return [Connector(*row) for row in db.execute(sql, (owner, connector))]

        found = await self._file.recall(("connector", owner, connector), run, _size)
        return found[0] if found else None

    async def connectors(self, owner: str) -> list[Connector]:
        sql = f"SELECT {_CONNECTOR} FROM connectors WHERE owner = ? ORDER BY id"

        def run(db: sqlite3.Connection) -> list[Connector]:
            return [Connector(*row) for row in db.execute(sql, (owner,))]

        found = await self._file.recall(("connectors", owner), run, _size)
        return list(found)

    async def ensure_default_instance(self, owner: str, connector: str, fresh_id: str, now: str) -> Instance:
        def run(db: sqlite3.Connection) -> Instance:
            require_living(db, owner, connector)
            return _default(db, owner, connector) or _add(db, owner, Instance(fresh_id, connector, True, now, None))

        return await self._file.write(run)

    async def add_instance(self, owner: str, instance: Instance) -> Instance:
        there = await self.instance(owner, instance.id)
        return await self._file.write(lambda db: _add(db, owner, instance)) if there is None else there

    async def instance(self, owner: str, instance: str) -> Instance | None:
        return await self._file.recall(("instance", owner, instance), lambda db: _instance(db, owner, instance))

    async def instances(self, owner: str, connector: str | None = None) -> list[Instance]:
        def run(db: sqlite3.Connection) -> list[Instance]:
            rows = db.execute(
                f"SELECT {INSTANCE} FROM instances WHERE owner = :owner AND erased_at IS NULL"
                " AND (:connector IS NULL OR connector = :connector) ORDER BY connector, id",
                {"owner": owner, "connector": connector},
            )
            return [to_instance(row) for row in rows]

        found = await self._file.recall(("instances", owner, connector), run, size_of)
        return list(found)


def _size(connectors: Sequence[Connector]) -> int:
    return sum(SMALL + len(each.manifest) for each in connectors)


def _add(db: sqlite3.Connection, owner: str, instance: Instance) -> Instance:
    there = _instance(db, owner, instance.id)
    if there is not None:
        return there
    require_living(db, owner, instance.connector)
    if instance.is_default and _default(db, owner, instance.connector) is not None:
        raise Conflict("the connector has a default instance")
    db.execute(
        f"INSERT INTO instances (owner, {INSTANCE}) VALUES (?, ?, ?, ?, ?, ?)",
        (owner, instance.id, instance.connector, instance.is_default, instance.created_at, instance.erased_at),
    )
    return instance


def _instance(db: sqlite3.Connection, owner: str, instance: str) -> Instance | None:
    sql = f"SELECT {INSTANCE} FROM instances WHERE owner = ? AND id = ?"
    row = db.execute(sql, (owner, instance)).fetchone()
    return None if row is None else to_instance(row)


def _default(db: sqlite3.Connection, owner: str, connector: str) -> Instance | None:
    row = db.execute(_DEFAULT, (owner, connector)).fetchone()
    return None if row is None else to_instance(row)


def to_instance(row: Row) -> Instance:
    """A row of `INSTANCE`."""
    id, connector, is_default, created_at, erased_at = row
    return Instance(id, connector, bool(is_default), created_at, erased_at)
