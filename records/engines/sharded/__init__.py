"""The engine of the topology `per-connector`: one SQLite file holds all records of one connector of an owner.

`records/<owner>/<shard>.db` is the file of a connector, or *shard*; its id is given when the connector is first
written to, and never again. `records/<owner>.db`, the shard `main`, has what is no connector's: the name of whose
records these are, and the version at which new partitions begin. The central store knows where each connector lives
(`records.shards`). `routing` finds it there, `pool` keeps the files open that were used last, `file` makes sure that
nobody writes unseen, `remembered` is what needs no file, `merging` and `reads` put lists of many connectors together,
`switching` is how a file is given up.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from blobstore.errors import Missing, StorageUnavailable
from records.agreement import require_own
from records.central import Central
from records.engine import Engine
from records.engines.sharded.erasure import Erasure
from records.engines.sharded.moving import Moving
from records.engines.sharded.places import Places
from records.engines.sharded.pool import Pool
from records.engines.sharded.routing import HERE, Surroundings
from records.engines.sqlite import OWNER, SqliteEngine
from records.layout import Topology
from records.shards import RECORDS
from records.transfer import NEW, Mark, Stage

__all__ = ["PerConnectorEngines", "ShardedEngine"]

TOPOLOGY = Topology.PER_CONNECTOR


class ShardedEngine(Erasure, Moving, Places):
    """Adapter of `records.engine.Engine`."""


class PerConnectorEngines:
    """Adapter of `records.engine.Engines`, which guards its files itself.

    It raises `Missing` for those that were lost and, where there is a `store_id`, `WrongStore` for those that do not
    belong where they are (see `records.guarded`), each when it is first asked for.
    """

    def __init__(
        self,
        directory: Path,
        central: Central,
        store_id: str | None,
        clock: Callable[[], float] = time.time,
        pool: Pool | None = None,
    ) -> None:
        self._directory = directory
        self._central = central
        self._store_id = store_id
        self._around = Surroundings(directory, central, self._require, pool or Pool(), clock=clock)
        self._engines: dict[str, ShardedEngine] = {}
        self._begun: set[str] = set()
        self._opening = asyncio.Lock()
        self._closed = False

    async def of(self, owner: str) -> Engine:
        """As the port says. Raises `ValueError` for what is no owner's id: paths are made of nothing else."""
        engine = await self.sharded(owner)
        if owner not in self._begun:
            if not await engine.main.connectors() and not await engine.main.marks():
                await engine.main.mark(Mark(NEW, Stage.LEFT, HERE))
            self._begun.add(owner)
        return engine

    async def sharded(self, owner: str) -> ShardedEngine:
        """As `of`, but where nothing is kept of the owner it is still open where connectors will live."""
        if not OWNER.match(owner):
            raise ValueError("an owner's id has lower-case letters and digits only")
        async with self._opening:
            if self._closed:
                raise StorageUnavailable("the record files are closed")
            if owner not in self._engines:
                self._engines[owner] = await self._open(owner)
            return self._engines[owner]

    async def find(self, owner: str) -> Engine | None:
        if not OWNER.match(owner):
            return None
        if owner in self._engines or await asyncio.to_thread(self._file(owner).exists):
            return await self.of(owner)
        await self._require_none(owner)
        return None

    async def close(self) -> None:
        """Close every engine. Harmless when called twice."""
        async with self._opening:
            self._closed = True
            for engine in self._engines.values():
                await engine.close()
            await self._around.pool.close()

    async def _open(self, owner: str) -> ShardedEngine:
        if not await asyncio.to_thread(_has_content, self._file(owner)):
            await self._require_none(owner)
        main = await SqliteEngine.open(self._file(owner), self._around.clock)
        try:
            await self._require(owner, None, main)
            engine = ShardedEngine(owner, main, self._around)
            await engine.sweep()
        except BaseException:
            await main.close()
            raise
        return engine

    async def _require_none(self, owner: str) -> None:
        """Raise `Missing` where this owner had records: an empty engine would be taken for the truth."""
        if await self._central.delivered(owner, RECORDS) or (await self._central.shards(owner)).homes:
            raise Missing(f"{owner}.db: the records of {owner} are missing; restore them from a backup")

    async def _require(self, owner: str, shard: str | None, engine: Engine) -> None:
        if self._store_id is not None:
            await require_own(owner, TOPOLOGY, engine, self._central, self._store_id, shard)

    def _file(self, owner: str) -> Path:
        return self._directory / f"{owner}.db"


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
