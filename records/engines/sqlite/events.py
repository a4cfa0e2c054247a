"""Events on their way to the spine."""

from collections.abc import Mapping

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
        return [OutboxEvent(seq, body, self.source) for seq, body in rows]

    async def numbering(self) -> Mapping[str, Numbering]:
        return {self.source: Numbering(*await self._file.read(lambda db: db.execute(NUMBERING).fetchone()))}

    async def bind(self, name: str) -> str:
        return await bind(self._file, name)

    async def is_bound(self) -> bool:
        """Whether it has a name."""
        return await self._file.read(lambda db: db.execute("SELECT 1 FROM bound").fetchone() is not None)

    async def drained(self, source: str, seq: int) -> None:
        if source == self.source:
            await self._file.execute("DELETE FROM outbox WHERE seq <= ?", (seq,))

    async def note(self, event: bytes) -> None:
        await self._file.execute("INSERT INTO outbox (body) VALUES (?)", (event,))
