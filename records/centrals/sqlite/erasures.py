"""Erasures from decision to receipt, in SQLite."""

from blobstore.sqlite import sqlite3
from blobstore.sqliteslack import mark_stale
from records.central import ErasureJob
from records.centrals.sqlite.chain import chain
from records.centrals.sqlite.schema import OnFile, require_owner
from records.centrals.sqlite.state import forget
from records.errors import Conflict, Unknown

_TARGET = "coalesce(target, (SELECT t.target FROM targets t WHERE t.erasure = erasures.id))"
_JOB = f"id, owner, {_TARGET}, state, requested_at, completed_at, result, connector, instance"


class Erasures(OnFile):
    """The part of the port about what goes."""

    async def begin_erasure(self, job: ErasureJob, event: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            require_owner(db, job.owner)
            added = db.execute(
                "INSERT INTO erasures (id, owner, state, requested_at, completed_at, result, connector, instance)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (
                    job.id,
                    job.owner,
                    job.state,
                    job.requested_at,
                    job.completed_at,
                    job.result,
                    job.connector,
                    job.instance,
                ),
            ).rowcount
            if added:
                db.execute("INSERT INTO targets VALUES (?, ?)", (job.id, job.target))
                _mark(db, job)
                chain(db, job.owner, [event], job.requested_at)
            elif db.execute("SELECT owner FROM erasures WHERE id = ?", (job.id,)).fetchone() != (job.owner,):
                raise Conflict("the id is another erasure's")

        await self._file.write(run)

    async def keep_samples(self, erasure: str, key: bytes, sealed: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            _require(len(db.execute("SELECT 1 FROM erasures WHERE id = ?", (erasure,)).fetchall()))
            db.execute("INSERT INTO samples VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (erasure, key, sealed))

        await self._file.write(run)

    async def samples(self, erasure: str) -> tuple[bytes, bytes] | None:
        sql = "SELECT key, sealed FROM samples WHERE erasure = ?"
        return await self._file.read(lambda db: db.execute(sql, (erasure,)).fetchone())

    async def drop_samples(self, erasure: str) -> None:
        def run(db: sqlite3.Connection) -> None:
            if db.execute("DELETE FROM samples WHERE erasure = ?", (erasure,)).rowcount:
                mark_stale(db)

        await self._file.write(run)

    async def redact_erasure(self, erasure: str, target: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            _require(db.execute("UPDATE erasures SET target = ? WHERE id = ?", (target, erasure)).rowcount)
            if db.execute("DELETE FROM targets WHERE erasure = ?", (erasure,)).rowcount:
                mark_stale(db)

        await self._file.write(run)

    async def finish_erasure(self, erasure: str, result: bytes, now: str, event: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT owner, state FROM erasures WHERE id = ?", (erasure,)).fetchone()
            _require(0 if row is None else 1)
            if row[1] != "done":
                sql = "UPDATE erasures SET completed_at = ?, result = ?, state = 'done' WHERE id = ?"
                db.execute(sql, (now, result, erasure))
                chain(db, row[0], [event], now)

        await self._file.write(run)

    async def erasure(self, owner: str, erasure: str) -> ErasureJob | None:
        sql = f"SELECT {_JOB} FROM erasures WHERE owner = ? AND id = ?"
        row = await self._file.read(lambda db: db.execute(sql, (owner, erasure)).fetchone())
        return None if row is None else ErasureJob(*row)

    async def unfinished_erasures(self) -> list[ErasureJob]:
        sql = f"SELECT {_JOB} FROM erasures WHERE state != 'done' ORDER BY requested_at, number"
        return [ErasureJob(*row) for row in await self._file.read(lambda db: db.execute(sql).fetchall())]


def _mark(db: sqlite3.Connection, job: ErasureJob) -> None:
    """What goes as a whole takes no writes from here on, and its connector remembers nothing."""
    if job.connector is None:
        return
    forget(db, job.owner, job.connector, job.instance, None)
    db.execute(
        "UPDATE instances SET erased_at = :now WHERE owner = :owner AND connector = :connector"
        " AND (:instance IS NULL OR id = :instance) AND erased_at IS NULL",
        {"now": job.requested_at, "owner": job.owner, "connector": job.connector, "instance": job.instance},
    )
    if job.instance is None:
        sql = "UPDATE connectors SET erased_at = ? WHERE owner = ? AND id = ? AND erased_at IS NULL"
        db.execute(sql, (job.requested_at, job.owner, job.connector))


def _require(changed: int) -> None:
    if not changed:
        raise Unknown("no such erasure")
