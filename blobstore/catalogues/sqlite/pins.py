"""Pins: who copies what is stored, and so holds garbage back."""

from blobstore.catalogue import Pin
from blobstore.catalogues.sqlite.schema import OnFile
from blobstore.sqlite import sqlite3


class Pins(OnFile):
    """The part of the port that backups and exports use."""

    async def pin(self, pin: Pin) -> None:
        row = (pin.id, pin.namespace, pin.process, pin.expires_at)
        await self._file.execute("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?)", row)

    async def unpin(self, pin: str) -> None:
        await self._file.execute("DELETE FROM pins WHERE id = ?", (pin,))

    async def pins(self) -> list[Pin]:
        rows = await self._file.read(lambda db: db.execute("SELECT * FROM pins ORDER BY id").fetchall())
        return [Pin(*row) for row in rows]


def is_pinned(db: sqlite3.Connection, namespace: str) -> bool:
    """Whether garbage of the namespace is held back, in the transaction that is open."""
    sql = "SELECT 1 FROM pins WHERE namespace IS NULL OR namespace = ? LIMIT 1"
    return db.execute(sql, (namespace,)).fetchone() is not None
