"""Sync state, in SQLite."""

from collections.abc import Mapping

from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale
from records.centrals.sqlite.chain import chain
from records.centrals.sqlite.schema import OnFile, Row
from records.errors import Conflict, Unknown

_GLOBAL = ""
"""The namespace that is no grant's: no grant has an empty id."""

# An instance belongs to one connector, so states are kept by instance.
_DROP = """
    DELETE FROM states WHERE owner = :owner AND (:stream IS NULL OR stream = :stream) AND instance IN (
        SELECT id FROM instances
        WHERE owner = :owner AND (:connector IS NULL OR connector = :connector)
          AND (:instance IS NULL OR id = :instance)
    )
"""


class State(OnFile):
    """The part of the port about what connectors remember between runs."""

    async def state(
        self, owner: str, connector: str, instance: str, grant: str | None = None
    ) -> tuple[dict[str, bytes], str | None]:
        def run(db: sqlite3.Connection) -> list[Row]:
            return db.execute(
                "SELECT stream, value, updated_at FROM states JOIN instances"
                " ON instances.owner = states.owner AND instances.id = states.instance"
                " WHERE states.owner = ? AND states.instance = ? AND grant_id = ? AND connector = ? ORDER BY stream",
                (owner, instance, grant or _GLOBAL, connector),
            ).fetchall()

        rows = await self._file.read(run)
        changed = max((updated_at for _, _, updated_at in rows), default=None)
        return {stream: value for stream, value, _ in rows}, changed

    async def merge_state(
        self,
        owner: str,
        connector: str,
        instance: str,
        state: Mapping[str, bytes],
        now: str,
        event: bytes,
        grant: str | None = None,
    ) -> None:
        def run(db: sqlite3.Connection) -> None:
            sql = "SELECT erased_at FROM instances WHERE owner = ? AND id = ? AND connector = ?"
            row = db.execute(sql, (owner, instance, connector)).fetchone()
            if row is None:
                raise Unknown("no such instance of this connector")
            if row[0] is not None:
                raise Conflict("the instance was erased")
            if grant is not None:
                _require_namespace(db, owner, connector, grant)
            if db.execute("SELECT 1 FROM states WHERE owner = ? AND instance = ?", (owner, instance)).fetchone():
                mark_stale(db)
            db.executemany(
                "INSERT INTO states VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                [(owner, instance, grant or _GLOBAL, stream, value, now) for stream, value in state.items()],
            )
            chain(db, owner, [event], now)

        await self._file.write(run)

    async def drop_state(self, owner: str, connector: str, instance: str | None, stream: str | None) -> None:
        await self._file.write(lambda db: forget(db, owner, connector, instance, stream))


def states_of(db: sqlite3.Connection, owner: str, connector: str) -> dict[str, dict[str, bytes]]:
    """By living instance of the connector, with none too: what is kept by stream, and is no grant's."""
    sql = (
        "SELECT id, stream, value FROM instances LEFT JOIN states"
        " ON states.owner = instances.owner AND instance = id AND grant_id = ?"
        " WHERE instances.owner = ? AND connector = ? AND erased_at IS NULL"
    )
    found: dict[str, dict[str, bytes]] = {}
    for instance, stream, value in db.execute(sql, (_GLOBAL, owner, connector)):
        found.setdefault(instance, {}).update({} if stream is None else {stream: value})
    return found


def forget(db: sqlite3.Connection, owner: str, connector: str | None, instance: str | None, stream: str | None) -> None:
    """Delete the states that these name; None names all."""
    names = {"owner": owner, "connector": connector, "instance": instance, "stream": stream}
    if db.execute(_DROP, names).rowcount:
        mark_stale(db)


def forget_namespace(db: sqlite3.Connection, owner: str, grant: str) -> None:
    """Delete the states of a grant."""
    if db.execute("DELETE FROM states WHERE owner = ? AND grant_id = ?", (owner, grant)).rowcount:
        mark_stale(db)


def _require_namespace(db: sqlite3.Connection, owner: str, connector: str, grant: str) -> None:
    sql = "SELECT revoked_at FROM grants WHERE id = ? AND owner = ? AND connector = ?"
    row = db.execute(sql, (grant, owner, connector)).fetchone()
    if row is None:
        raise Unknown("no such grant for this connector")
    if row[0] is not None:
        raise Conflict("the grant was revoked")
