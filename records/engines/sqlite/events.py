"""Events on their way to the spine."""

from blobstore.catalogue import Numbering
from blobstore.sqlite.binding import bind
from blobstore.sqlite.outbox import NUMBERING
from records.engines.sqlite.schema import OnFile
from records.model import OutboxEvent


class Events(OnFile):
    """The part of the port that keeps the outbox."""

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        sql = "SELECT seq, body FROM outbox ORDER BY seq LIMIT ?"
        rows = await self._file.read(lambda db: db.execute(sql, (limit,)).fetchall())
        return [OutboxEvent(*row) for row in rows]

    async def numbering(self) -> Numbering:
        return Numbering(*await self._file.read(lambda db: db.execute(NUMBERING).fetchone()))

    async def bind(self, name: str) -> str:
        return await bind(self._file, name)

    async def drained(self, seq: int) -> None:
        await self._file.execute("DELETE FROM outbox WHERE seq <= ?", (seq,))

    async def note(self, event: bytes) -> None:
        await self._file.execute("INSERT INTO outbox (body) VALUES (?)", (event,))
