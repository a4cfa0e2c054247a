"""Erasures from decision to receipt, in SQLite."""

from blobstore.sqlite import sqlite3
from blobstore.sqlite.recalled import size_of_values
from blobstore.sqlite.slack import mark_stale
from records.central import ErasureJob, Instance, Seen
from records.centrals.sqlite.chain import chain
from records.centrals.sqlite.registry import INSTANCE, to_instance
from records.centrals.sqlite.schema import OnFile, require_owner
from records.centrals.sqlite.state import forget, states_of
from records.errors import Conflict, Unknown

_TARGET = "coalesce(target, (SELECT t.target FROM targets t WHERE t.erasure = erasures.id))"
_JOB = (
    f"id, owner, {_TARGET}, state, requested_at, completed_at, result, connector, instance, owner_digest, resumed,"
    " receipt"
)


class Erasures(OnFile):
    """The part of the port about what goes."""

    async def begin_erasure(self, job: ErasureJob, event: bytes, seen: Seen | None = None) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            require_owner(db, job.owner)
            there = db.execute("SELECT 1 FROM erasures WHERE id = ?", (job.id,)).fetchone()
            if there is None and seen is not None and seen != _seen(db, job):
                return False
            row = (job.id, job.owner, job.state, job.requested_at, job.connector, job.instance, job.owner_digest)
            if db.execute(_BEGIN, row).rowcount:
                db.execute("INSERT INTO targets VALUES (?, ?)", (job.id, job.target))
                _mark(db, job)
                chain(db, job.owner, [event], job.requested_at)
            elif db.execute("SELECT owner FROM erasures WHERE id = ?", (job.id,)).fetchone() != (job.owner,):
                raise Conflict("the id is another erasure's")
            return True

        return await self._file.write(run)

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

    async def erased_by(self, owner: str, erasure: str) -> list[Instance]:
        sql = f"SELECT {INSTANCE} FROM instances WHERE owner = ? AND erasure = ? ORDER BY connector, id"
        rows = await self._file.read(lambda db: db.execute(sql, (owner, erasure)).fetchall())
        return [to_instance(row) for row in rows]

    async def take_up_erasure(self, erasure: str) -> ErasureJob | None:
        def run(db: sqlite3.Connection) -> ErasureJob | None:
            sql = "UPDATE erasures SET resumed = resumed + NOT paused, paused = 0 WHERE id = ? AND state != 'done'"
            taken = db.execute(sql, (erasure,)).rowcount
            row = db.execute(f"SELECT {_JOB} FROM erasures WHERE id = ?", (erasure,)).fetchone()
            _require(0 if row is None else 1)
            return ErasureJob(*row) if taken else None

        return await self._file.write(run)

    async def pause_erasure(self, erasure: str) -> None:
        _require(await self._file.execute("UPDATE erasures SET paused = 1 WHERE id = ?", (erasure,)))

    async def redact_erasure(self, erasure: str, target: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            _require(db.execute("UPDATE erasures SET target = ? WHERE id = ?", (target, erasure)).rowcount)
            if db.execute("DELETE FROM targets WHERE erasure = ?", (erasure,)).rowcount:
                mark_stale(db)

        await self._file.write(run)

    async def forget_owner(self, owner: str) -> None:
        def run(db: sqlite3.Connection) -> None:
            require_owner(db, owner)
            if not db.execute("SELECT 1 FROM owners WHERE id = ? AND erased_at IS NOT NULL", (owner,)).fetchone():
                raise Conflict("the owner was not erased")
            for table in ("states", "instances", "connectors", "grants"):
                db.execute(f"DELETE FROM {table} WHERE owner = ?", (owner,))
            db.execute("DELETE FROM tokens WHERE owner = ? AND kind != 'owner'", (owner,))
            db.execute("UPDATE tokens SET label = NULL WHERE owner = ?", (owner,))
            db.execute("UPDATE homes SET holds = NULL WHERE owner = ?", (owner,))
            mark_stale(db)

        await self._file.write(run)

    async def finish_erasure(self, erasure: str, result: bytes, receipt: bytes, now: str, event: bytes) -> None:
        def run(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT owner, state, owner_digest FROM erasures WHERE id = ?", (erasure,)).fetchone()
            _require(0 if row is None else 1)
            owner, state, digest = row
            if state != "done":
                sql = "UPDATE erasures SET completed_at = ?, result = ?, receipt = ?, state = 'done' WHERE id = ?"
                db.execute(sql, (now, result, receipt, erasure))
                if digest is not None:
                    db.execute("DELETE FROM tokens WHERE owner = ?", (owner,))
                chain(db, owner, [event], now)

        await self._file.write(run)

    async def erasure(self, owner: str, erasure: str) -> ErasureJob | None:
        sql = f"SELECT {_JOB} FROM erasures WHERE owner = ? AND id = ?"
        row = await self._file.read(lambda db: db.execute(sql, (owner, erasure)).fetchone())
        return None if row is None else ErasureJob(*row)

    async def erasures(self, owner: str, after: str | None, limit: int) -> list[ErasureJob]:
        beyond = "(SELECT number FROM erasures WHERE owner = :owner AND id = :after)"
        sql = (
            f"SELECT {_JOB} FROM erasures WHERE owner = :owner AND (:after IS NULL OR number < {beyond})"
            " ORDER BY number DESC LIMIT :limit"
        )
        values = {"owner": owner, "after": after, "limit": limit}
        return [ErasureJob(*row) for row in await self._file.read(lambda db: db.execute(sql, values).fetchall())]

    async def unfinished_erasures(self) -> list[ErasureJob]:
        sql = f"SELECT {_JOB} FROM erasures WHERE state != 'done' ORDER BY requested_at, number"
        rows = await self._file.recall(("unfinished erasures",), lambda db: db.execute(sql).fetchall(), size_of_values)
        return [ErasureJob(*row) for row in rows]


_BEGIN = """
INSERT INTO erasures (id, owner, state, requested_at, connector, instance, owner_digest) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""


def _mark(db: sqlite3.Connection, job: ErasureJob) -> None:
    """What goes as a whole takes no writes from here on, and its connector remembers nothing."""
    if job.connector is None and job.owner_digest is None:
        return
    names = {"now": job.requested_at, "owner": job.owner, "connector": job.connector, "instance": job.instance}
    forget(db, job.owner, job.connector, job.instance, None)
    db.execute(
        "UPDATE instances SET erased_at = :now, erasure = :erasure WHERE owner = :owner"
        " AND (:connector IS NULL OR connector = :connector) AND (:instance IS NULL OR id = :instance)"
        " AND erased_at IS NULL",
        {**names, "erasure": job.id},
    )
    if job.instance is None:
        db.execute(
            "UPDATE connectors SET erased_at = :now WHERE owner = :owner"
            " AND (:connector IS NULL OR id = :connector) AND erased_at IS NULL",
            names,
        )
    if job.owner_digest is not None:
        sql = "UPDATE owners SET erased_at = ?, digest = ? WHERE id = ? AND erased_at IS NULL"
        if not db.execute(sql, (job.requested_at, job.owner_digest, job.owner)).rowcount:
            raise Conflict("the owner was erased already")
        db.execute("DELETE FROM subjects WHERE owner = ?", (job.owner,))
        mark_stale(db)


def _seen(db: sqlite3.Connection, job: ErasureJob) -> Seen | None:
    sql = "SELECT manifest FROM connectors WHERE owner = ? AND id = ? AND erased_at IS NULL"
    found = db.execute(sql, (job.owner, job.connector)).fetchone()
    return None if found is None else Seen(found[0], states_of(db, job.owner, job.connector or ""))


def _require(changed: int) -> None:
    if not changed:
        raise Unknown("no such erasure")
