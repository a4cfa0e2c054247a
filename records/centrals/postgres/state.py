"""Sync state, in PostgreSQL."""

from collections.abc import Mapping

from blobstore.postgres import Connection
from records.centrals.postgres.chain import chain
from records.centrals.postgres.schema import OnDatabase, lock, raw, raw_or_none, text
from records.errors import Conflict, Unknown

_GLOBAL = ""
"""The namespace that is no grant's: no grant has an empty id."""

# An instance belongs to one connector, so states are kept by instance.
_STATE = """
SELECT stream, value, updated_at FROM central.states JOIN central.instances
    ON instances.owner = states.owner AND instances.id = states.instance
WHERE states.owner = $1 AND states.instance = $2 AND grant_id = $3 AND connector = $4 ORDER BY stream
"""
_STATES = """
SELECT id, stream, value FROM central.instances LEFT JOIN central.states
    ON states.owner = instances.owner AND instance = id AND grant_id = $3
WHERE instances.owner = $1 AND connector = $2 AND erased_at IS NULL
"""
_MERGE = """
INSERT INTO central.states (owner, instance, grant_id, stream, value, updated_at)
SELECT $1, $2, $3, stream, value, $6 FROM unnest($4::bytea[], $5::bytea[]) AS given (stream, value)
ON CONFLICT (owner, instance, grant_id, sha256(stream))
DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
"""
_DROP = """
DELETE FROM central.states WHERE owner = $1 AND ($4::bytea IS NULL OR stream = $4) AND instance IN (
    SELECT id FROM central.instances
    WHERE owner = $1 AND ($2::bytea IS NULL OR connector = $2) AND ($3::bytea IS NULL OR id = $3)
)
"""


class State(OnDatabase):
    """The part of the port about what connectors remember between runs."""

    async def state(
        self, owner: str, connector: str, instance: str, grant: str | None = None
    ) -> tuple[dict[str, bytes], str | None]:
        names = (raw(instance), raw(grant or _GLOBAL), raw(connector))
        rows = await self._db.fetch(_STATE, owner, *names)
        changed = max((updated_at for _, _, updated_at in rows), default=None)
        return {text(stream): value for stream, value, _ in rows}, changed

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
        async def work(db: Connection) -> None:
            end = await lock(db, owner)
            await _require_instance(db, owner, connector, instance)
            if grant is not None:
                await _require_namespace(db, owner, connector, grant)
            streams = [raw(stream) for stream in state]
            await db.execute(_MERGE, owner, raw(instance), raw(grant or _GLOBAL), streams, list(state.values()), now)
            await chain(db, end, [event], now)

        await self._db.write(work)

    async def drop_state(self, owner: str, connector: str, instance: str | None, stream: str | None) -> None:
        async def work(db: Connection) -> None:
            await lock(db, owner)
            await forget(db, owner, connector, instance, stream)

        await self._db.write(work)


async def states_of(db: Connection, owner: str, connector: str) -> dict[str, dict[str, bytes]]:
    """By living instance of the connector, with none too: what is kept by stream, and is no grant's."""
    found: dict[str, dict[str, bytes]] = {}
    for instance, stream, value in await db.fetch(_STATES, owner, raw(connector), raw(_GLOBAL)):
        found.setdefault(text(instance), {}).update({} if stream is None else {text(stream): value})
    return found


async def forget(db: Connection, owner: str, connector: str | None, instance: str | None, stream: str | None) -> None:
    """Delete the states that these name; None names all."""
    await db.execute(_DROP, owner, raw_or_none(connector), raw_or_none(instance), raw_or_none(stream))


async def forget_namespace(db: Connection, owner: str, grant: str) -> None:
    """Delete the states of a grant."""
    await db.execute("DELETE FROM central.states WHERE owner = $1 AND grant_id = $2", owner, raw(grant))


async def _require_instance(db: Connection, owner: str, connector: str, instance: str) -> None:
    sql = "SELECT erased_at FROM central.instances WHERE owner = $1 AND id = $2 AND connector = $3"
    row = await db.fetchrow(sql, owner, raw(instance), raw(connector))
    if row is None:
        raise Unknown("no such instance of this connector")
    if row[0] is not None:
        raise Conflict("the instance was erased")


async def _require_namespace(db: Connection, owner: str, connector: str, grant: str) -> None:
    sql = "SELECT revoked_at FROM central.grants WHERE id = $1 AND owner = $2 AND connector = $3"
    row = await db.fetchrow(sql, raw(grant), owner, raw(connector))
    if row is None:
        raise Unknown("no such grant for this connector")
    if row[0] is not None:
        raise Conflict("the grant was revoked")
