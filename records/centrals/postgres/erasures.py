"""Erasures from decision to receipt, in PostgreSQL."""

from blobstore.postgres import Connection, Record
from records.central import ErasureJob, Instance, Seen
from records.centrals.postgres.chain import chain
from records.centrals.postgres.registry import INSTANCE, to_instance
from records.centrals.postgres.schema import (
    OnDatabase,
    lock,
    raw,
    raw_or_none,
    require_present,
    text,
    text_or_none,
)
from records.centrals.postgres.state import forget, states_of
from records.errors import Conflict, Unknown

_TARGET = "coalesce(target, (SELECT t.target FROM central.targets t WHERE t.erasure = erasures.id))"
_JOB = (
    f"id, owner, {_TARGET}, state, requested_at, completed_at, result, connector, instance, owner_digest, resumed,"
    " receipt"
)
_BEGIN = """
INSERT INTO central.erasures (id, owner, state, requested_at, connector, instance, owner_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING RETURNING true
"""
_TAKE_UP = f"""
UPDATE central.erasures SET resumed = resumed + CASE WHEN paused THEN 0 ELSE 1 END, paused = false
WHERE id = $1 AND state != 'done' RETURNING {_JOB}
"""
_LIST = f"""
SELECT {_JOB} FROM central.erasures WHERE owner = $1 AND (
    $2::bytea IS NULL OR number < (SELECT number FROM central.erasures WHERE owner = $1 AND id = $2)
) ORDER BY number DESC LIMIT $3
"""
_MARK_INSTANCES = """
UPDATE central.instances SET erased_at = $2, erasure = $3
WHERE owner = $1 AND ($4::bytea IS NULL OR connector = $4) AND ($5::bytea IS NULL OR id = $5) AND erased_at IS NULL
"""
_MARK_CONNECTORS = """
UPDATE central.connectors SET erased_at = $2
WHERE owner = $1 AND ($3::bytea IS NULL OR id = $3) AND erased_at IS NULL
"""


class Erasures(OnDatabase):
    """The part of the port about what goes."""

    async def begin_erasure(self, job: ErasureJob, event: bytes, seen: Seen | None = None) -> bool:
        async def work(db: Connection) -> bool:
            end = await lock(db, job.owner)
            there = await db.fetchval("SELECT true FROM central.erasures WHERE id = $1", raw(job.id))
            if not there and seen is not None and seen != await _seen(db, job):
                return False
            names = (raw_or_none(job.connector), raw_or_none(job.instance), raw_or_none(job.owner_digest))
            if await db.fetchval(_BEGIN, raw(job.id), job.owner, job.state, job.requested_at, *names):
                await db.execute("INSERT INTO central.targets VALUES ($1, $2)", raw(job.id), job.target)
                await _mark(db, job)
                await chain(db, end, [event], job.requested_at)
            elif await _owner_of(db, job.id) != job.owner:
                raise Conflict("the id is another erasure's")
            return True

        return await self._db.write(work)

    async def keep_samples(self, erasure: str, key: bytes, sealed: bytes) -> None:
        async def work(db: Connection) -> None:
            await _owner_of(db, erasure)
            sql = "INSERT INTO central.samples VALUES ($1, $2, $3) ON CONFLICT (erasure) DO NOTHING"
            await db.execute(sql, raw(erasure), key, sealed)

        await self._db.write(work)

    async def samples(self, erasure: str) -> tuple[bytes, bytes] | None:
        sql = "SELECT key, sealed FROM central.samples WHERE erasure = $1"
        row = await self._db.fetchrow(sql, raw(erasure))
        return None if row is None else (row[0], row[1])

    async def drop_samples(self, erasure: str) -> None:
        sql = "DELETE FROM central.samples WHERE erasure = $1"
        await self._db.write(lambda db: db.execute(sql, raw(erasure)))

    async def erased_by(self, owner: str, erasure: str) -> list[Instance]:
        sql = f"SELECT {INSTANCE} FROM central.instances WHERE owner = $1 AND erasure = $2 ORDER BY connector, id"
        return [to_instance(row) for row in await self._db.fetch(sql, owner, raw(erasure))]

    async def take_up_erasure(self, erasure: str) -> ErasureJob | None:
        async def work(db: Connection) -> ErasureJob | None:
            row = await db.fetchrow(_TAKE_UP, raw(erasure))
            if row is None:
                await _owner_of(db, erasure)
            return None if row is None else _to_job(row)

        return await self._db.write(work)

    async def pause_erasure(self, erasure: str) -> None:
        async def work(db: Connection) -> None:
            await _owner_of(db, erasure)
            await db.execute("UPDATE central.erasures SET paused = true WHERE id = $1", raw(erasure))

        await self._db.write(work)

    async def redact_erasure(self, erasure: str, target: bytes) -> None:
        async def work(db: Connection) -> None:
            await _owner_of(db, erasure)
            await db.execute("UPDATE central.erasures SET target = $2 WHERE id = $1", raw(erasure), target)
            await db.execute("DELETE FROM central.targets WHERE erasure = $1", raw(erasure))

        await self._db.write(work)

    async def forget_owner(self, owner: str) -> None:
        async def work(db: Connection) -> None:
            await lock(db, owner)
            if await db.fetchval("SELECT erased_at FROM central.owners WHERE id = $1", owner) is None:
                raise Conflict("the owner was not erased")
            for table in ("states", "instances", "connectors", "grants"):
                await db.execute(f"DELETE FROM central.{table} WHERE owner = $1", owner)
            await db.execute("DELETE FROM central.tokens WHERE owner = $1 AND kind != 'owner'", owner)
            await db.execute("UPDATE central.tokens SET label = NULL WHERE owner = $1", owner)
            await db.execute("UPDATE central.homes SET holds = NULL WHERE owner = $1", owner)

        await self._db.write(work)

    async def finish_erasure(self, erasure: str, result: bytes, receipt: bytes, now: str, event: bytes) -> None:
        async def work(db: Connection) -> None:
            owner = await _owner_of(db, erasure)
            end = await lock(db, owner)
            sql = (
                "UPDATE central.erasures SET completed_at = $2, result = $3, receipt = $4, state = 'done'"
                " WHERE id = $1 AND state != 'done' RETURNING owner_digest"
            )
            finished = await db.fetchrow(sql, raw(erasure), now, result, receipt)
            if finished is None:
                return
            if finished[0] is not None:
                await db.execute("DELETE FROM central.tokens WHERE owner = $1", owner)
            await chain(db, end, [event], now)

        await self._db.write(work)

    async def erasure(self, owner: str, erasure: str) -> ErasureJob | None:
        sql = f"SELECT {_JOB} FROM central.erasures WHERE owner = $1 AND id = $2"
        row = await self._db.fetchrow(sql, owner, raw(erasure))
        return None if row is None else _to_job(row)

    async def erasures(self, owner: str, after: str | None, limit: int) -> list[ErasureJob]:
        rows = await self._db.fetch(_LIST, owner, raw_or_none(after), limit)
        return [_to_job(row) for row in rows]

    async def unfinished_erasures(self) -> list[ErasureJob]:
        sql = f"SELECT {_JOB} FROM central.erasures WHERE state != 'done' ORDER BY requested_at, number"
        return [_to_job(row) for row in await self._db.fetch(sql)]


async def _mark(db: Connection, job: ErasureJob) -> None:
    """What goes as a whole takes no writes from here on, and its connector remembers nothing."""
    if job.connector is None and job.owner_digest is None:
        return
    connector, instance = raw_or_none(job.connector), raw_or_none(job.instance)
    await forget(db, job.owner, job.connector, job.instance, None)
    await db.execute(_MARK_INSTANCES, job.owner, job.requested_at, raw(job.id), connector, instance)
    if job.instance is None:
        await db.execute(_MARK_CONNECTORS, job.owner, job.requested_at, connector)
    if job.owner_digest is not None:
        await require_present(db, job.owner)
        sql = "UPDATE central.owners SET erased_at = $2, digest = $3, subject = NULL WHERE id = $1"
        await db.execute(sql, job.owner, job.requested_at, raw(job.owner_digest))


async def _seen(db: Connection, job: ErasureJob) -> Seen | None:
    sql = "SELECT manifest FROM central.connectors WHERE owner = $1 AND id = $2 AND erased_at IS NULL"
    manifest = await db.fetchval(sql, job.owner, raw_or_none(job.connector))
    return None if manifest is None else Seen(manifest, await states_of(db, job.owner, job.connector or ""))


async def _owner_of(db: Connection, erasure: str) -> str:
    """Whose erasure it is. Raises `Unknown`."""
    owner: str | None = await db.fetchval("SELECT owner FROM central.erasures WHERE id = $1", raw(erasure))
    if owner is None:
        raise Unknown("no such erasure")
    return owner


def _to_job(row: Record) -> ErasureJob:
    id, owner, target, state, requested_at, completed_at, result, connector, instance, digest, resumed, receipt = row
    return ErasureJob(
        text(id),
        owner,
        target,
        state,
        requested_at,
        completed_at,
        result,
        text_or_none(connector),
        text_or_none(instance),
        text_or_none(digest),
        resumed,
        receipt,
    )
