"""When the keys that are gone here were deleted: in a scratch database, for they may be more than memory holds."""

from collections.abc import Collection, Iterable
from typing import Self

from blobstore.scratch import ScratchDatabase
from blobstore.store import BlobStore
from blobstore.threads import to_the_end
from records.engine import Engine
from records.model import Partition
from records.transfer import Grave, Item, State

IN_LIST = 500


class Graves:
    """The tombstones of one connector. `close` it whatever happens."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._scratch = ScratchDatabase(blobs.staging)
        self._scratch.execute(
            "CREATE TABLE graves (instance TEXT, stream TEXT, key TEXT, emitted_at TEXT,"
            " PRIMARY KEY (instance, stream, key)) WITHOUT ROWID"
        )

    @classmethod
    async def of(cls, blobs: BlobStore, engine: Engine | None, connector: str) -> Self:
        """Those of an engine as they are now; none where there is no engine."""
        graves = await to_the_end(blobs.submit(cls, blobs))
        if engine is not None:
            try:
                await engine.extract(connector, {}, graves._take)
            except BaseException:
                graves.close()
                raise
        return graves

    async def emitted_at(self, place: Partition, keys: Collection[str]) -> dict[str, str]:
        """The times of those of these keys that are gone."""
        return await to_the_end(self._blobs.submit(self._find, place, list(keys)))

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        self._scratch.close()

    def _take(self, _: State, items: Iterable[Item]) -> None:
        for each in items:
            if isinstance(each, Grave):
                place, grave = each.partition, each.tombstone
                row = (place.instance, place.stream, grave.key, grave.emitted_at)
                self._scratch.execute("INSERT OR REPLACE INTO graves VALUES (?, ?, ?, ?)", row)

    def _find(self, place: Partition, keys: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(keys), IN_LIST):
            some = keys[start : start + IN_LIST]
            sql = f"SELECT key, emitted_at FROM graves WHERE instance = ? AND stream = ? AND key IN ({_marks(some)})"
            found |= dict(self._scratch.execute(sql, (place.instance, place.stream, *some)))
        return found


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))
