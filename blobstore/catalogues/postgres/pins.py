"""Pins: who copies what is stored, and so holds garbage back."""

from blobstore.catalogue import Pin
from blobstore.catalogues.postgres.schema import OnDatabase
from blobstore.postgres import Connection
from blobstore.postgres.advisory import advisory_key

LOCK = "catalogue pins"
"""Whoever pins has it alone, whoever condemns garbage shares it: else garbage that was condemned by one who had looked
for pins before could go after the pin was there."""


class Pins(OnDatabase):
    """The part of the port that backups and exports use."""

    async def pin(self, pin: Pin) -> None:
        values = (pin.id, pin.namespace, pin.process, pin.expires_at)
        await self._database.write(lambda db: db.execute(_PIN, *values), lock=LOCK)

    async def unpin(self, pin: str) -> None:
        await self._database.execute("DELETE FROM catalogue.pins WHERE id = $1", pin)

    async def pins(self) -> list[Pin]:
        rows = await self._database.fetch("SELECT id, namespace, process, expires_at FROM catalogue.pins ORDER BY id")
        return [Pin(*row) for row in rows]


async def is_pinned(db: Connection, namespace: str) -> bool:
    """Whether garbage of the namespace is held back; no pin is added until the transaction is over."""
    await db.execute("SELECT pg_advisory_xact_lock_shared($1)", advisory_key(LOCK))
    sql = "SELECT EXISTS (SELECT 1 FROM catalogue.pins WHERE namespace IS NULL OR namespace = $1)"
    return bool(await db.fetchval(sql, namespace))


async def keep_no_longer(db: Connection, now: float) -> None:
    """What moves left behind is garbage once its time is over, where no pin holds it."""
    due = "SELECT EXISTS (SELECT 1 FROM catalogue.blobs WHERE kept_until <= $1)"
    if await db.fetchval(due, now):
        await db.execute("SELECT pg_advisory_xact_lock_shared($1)", advisory_key(LOCK))
        await db.execute(_KEEP_NO_LONGER, now)


_KEEP_NO_LONGER = """
UPDATE catalogue.blobs b SET kept_until = NULL
WHERE kept_until <= $1 AND NOT EXISTS (
    SELECT 1 FROM catalogue.pins p WHERE coalesce(p.namespace, b.namespace) = b.namespace)
"""

_PIN = """
INSERT INTO catalogue.pins (id, namespace, process, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE
SET namespace = excluded.namespace, process = excluded.process, expires_at = excluded.expires_at
"""
