"""The owners' spines, in SQLite."""

from collections.abc import Sequence

from blobstore.sqlite import sqlite3
from records.audit import spine
from records.central import About, Checkpoint, SpineEvent
from records.centrals.sqlite.schema import OnFile, require_owner

_EVENT = "seq, at, body, previous, hash"
_CHECKPOINT = "seq, made_at, document"
_HEAD = f"SELECT {_EVENT} FROM spine WHERE owner = ? ORDER BY seq DESC LIMIT 1"
_END = "SELECT events, (SELECT hash FROM spine WHERE owner = id ORDER BY seq DESC LIMIT 1) FROM owners WHERE id = ?"


_INDEXES = {
    "blob": "INDEXED BY noted_by_blob",
    "grant_id": "INDEXED BY noted_by_grant",
    "connector": "INDEXED BY noted_by_connector",
}


class Chain(OnFile):
    """The part of the port about what happened."""

    async def append(self, owner: str, source: str, events: Sequence[tuple[int, bytes]], now: str) -> int:
        return await self._file.write(lambda db: _append(db, owner, source, events, now))

    async def note(self, owner: str, event: bytes, now: str, about: About) -> None:
        def run(db: sqlite3.Connection) -> None:
            require_owner(db, owner)
            seq = chain(db, owner, [event], now)
            db.execute(
                "INSERT INTO noted VALUES (?, ?, ?, ?, ?)", (owner, seq, about.grant, about.connector, about.blob)
            )

        await self._file.write(run)

    async def noted(self, owner: str, about: About, after: int, limit: int) -> list[SpineEvent]:
        sql, named = noted_sql(about)
        rows = await self._file.read(lambda db: db.execute(sql, (owner, after, *named, limit)).fetchall())
        return [SpineEvent(*row) for row in rows]

    async def delivered(self, owner: str, source: str) -> int:
        return await self._file.read(lambda db: _delivered(db, owner, source))

    async def delivered_by(self, source: str) -> int:
        sql = "SELECT coalesce(max(seq), 0) FROM delivered WHERE source = ?"
        return int(await self._file.read(lambda db: db.execute(sql, (source,)).fetchone()[0]))

    async def spine(self, owner: str, after: int, limit: int) -> list[SpineEvent]:
        sql = f"SELECT {_EVENT} FROM spine WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?"
        rows = await self._file.read(lambda db: db.execute(sql, (owner, after, limit)).fetchall())
        return [SpineEvent(*row) for row in rows]

    async def spine_head(self, owner: str) -> SpineEvent | None:
        row = await self._file.read(lambda db: db.execute(_HEAD, (owner,)).fetchone())
        return None if row is None else SpineEvent(*row)

    async def chained(self, owner: str) -> int:
        def run(db: sqlite3.Connection) -> int:
            require_owner(db, owner)
            count: int = db.execute("SELECT events FROM owners WHERE id = ?", (owner,)).fetchone()[0]
            return count

        return await self._file.read(run)

    async def add_checkpoint(self, owner: str, checkpoint: Checkpoint) -> None:
        def run(db: sqlite3.Connection) -> None:
            require_owner(db, owner)
            values = (owner, checkpoint.seq, checkpoint.made_at, checkpoint.document)
            db.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", values)

        await self._file.write(run)

    async def newest_checkpoint(self, owner: str) -> Checkpoint | None:
        sql = f"SELECT {_CHECKPOINT} FROM checkpoints WHERE owner = ? ORDER BY seq DESC LIMIT 1"
        row = await self._file.read(lambda db: db.execute(sql, (owner,)).fetchone())
        return None if row is None else Checkpoint(*row)

    async def checkpoints(self, owner: str, after: int, limit: int) -> list[Checkpoint]:
        sql = f"SELECT {_CHECKPOINT} FROM checkpoints WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?"
        rows = await self._file.read(lambda db: db.execute(sql, (owner, after, limit)).fetchall())
        return [Checkpoint(*row) for row in rows]


def noted_sql(about: About) -> tuple[str, list[str]]:
    """The statement for the events about all of this, and what is bound in it between `after` and the limit."""
    columns = {"grant_id": about.grant, "connector": about.connector, "blob": about.blob}
    named = {column: value for column, value in columns.items() if value is not None}
    # The rarest first: the planner, which knows no frequencies, takes one index and looks at all that it finds there.
    index = next((_INDEXES[column] for column in ("blob", "grant_id", "connector") if column in named), "")
    event = ", ".join(f"spine.{column}" for column in _EVENT.split(", "))
    return (
        f"SELECT {event} FROM noted {index} CROSS JOIN spine ON spine.owner = noted.owner AND spine.seq = noted.seq"
        f" WHERE noted.owner = ? AND noted.seq > ?{''.join(f' AND noted.{column} = ?' for column in named)}"
        " ORDER BY noted.seq LIMIT ?",
        list(named.values()),
    )


def _append(db: sqlite3.Connection, owner: str, source: str, events: Sequence[tuple[int, bytes]], now: str) -> int:
    require_owner(db, owner)
    fresh = spine.risen(events, _delivered(db, owner, source))
    if fresh:
        chain(db, owner, [body for _, body in fresh], now)
        db.execute("INSERT OR REPLACE INTO delivered VALUES (?, ?, ?)", (owner, source, fresh[-1][0]))
    return len(fresh)


def _delivered(db: sqlite3.Connection, owner: str, source: str) -> int:
    row = db.execute("SELECT seq FROM delivered WHERE owner = ? AND source = ?", (owner, source)).fetchone()
    return 0 if row is None else row[0]


def chain(db: sqlite3.Connection, owner: str, bodies: Sequence[bytes], now: str) -> int:
    """Chain the bodies to the owner's spine, in the transaction that is open; gives the last one's `seq`."""
    # The count goes on where it was even if the last events are lost: a chain never hides that.
    seq, previous = db.execute(_END, (owner,)).fetchone()
    previous = previous or spine.GENESIS
    rows = []
    for body in bodies:
        seq += 1
        hash = spine.chain(previous, seq, now, body)
        rows.append((owner, seq, now, body, previous, hash))
        previous = hash
    db.executemany(f"INSERT INTO spine (owner, {_EVENT}) VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.execute("UPDATE owners SET events = ? WHERE id = ?", (seq, owner))
    last: int = seq
    return last
