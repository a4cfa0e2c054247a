"""The engine of the topology `single`: one SQLite file holds all records of one owner.

`schema` has the tables; `writes`, `reads`, `changes`, `links`, `linking`, `erasure`, `moving` and `events` the parts
of the port, by what they are for.
"""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from blobstore.errors import StorageUnavailable
from blobstore.sqlite.file import SqliteFile
from records.engine import Engine
from records.engines.sqlite.changes import History
from records.engines.sqlite.check import disagreements
from records.engines.sqlite.erasure import Erasure
from records.engines.sqlite.events import Events
from records.engines.sqlite.leaving import Leaving
from records.engines.sqlite.linking import Linkings
from records.engines.sqlite.links import Links
from records.engines.sqlite.moving import Moving
from records.engines.sqlite.reads import Reads
from records.engines.sqlite.resumming import mend_sums, wrong_sums
from records.engines.sqlite.schema import MIGRATIONS
from records.engines.sqlite.writes import Writes

__all__ = ["OWNER", "SingleFileEngines", "SqliteEngine"]

OWNER = re.compile(r"[a-z0-9]+\Z")


class SqliteEngine(Writes, Reads, History, Links, Linkings, Erasure, Moving, Events, Leaving):
    """Adapter of `records.engine.Engine`."""

    @classmethod
    async def open(cls, path: Path, clock: Callable[[], float] = time.time) -> Self:
        """Open the file, made and migrated if need be; any number of processes may do so at once."""
        return cls(await SqliteFile.open(path, MIGRATIONS), clock)

    def regardless(self) -> Self:
        return type(self)(self._file, self._clock, self.source, regardless=True)

    async def check(self) -> list[str]:
        return await self._file.check() or await self._file.read(disagreements)

    async def resum(self, *, repair: bool) -> list[str]:
        wrong = await self._file.read(wrong_sums)
        if wrong and repair:
            await self._file.write_alone(mend_sums)
        return wrong

    async def close(self) -> None:
        await self._file.close()


class SingleFileEngines:
    """Adapter of `records.engine.Engines`: `<owner>.db` in one directory, opened when it is first asked for."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._engines: dict[str, Engine] = {}
        self._opening = asyncio.Lock()
        self._closed = False

    async def of(self, owner: str) -> Engine:
        """As the port says. Raises `ValueError` for what is no owner's id: paths are made of nothing else."""
        if not OWNER.match(owner):
            raise ValueError("an owner's id has lower-case letters and digits only")
        async with self._opening:
            if self._closed:
                raise StorageUnavailable("the record files are closed")
            if owner not in self._engines:
                self._engines[owner] = await SqliteEngine.open(self._file(owner), self._clock)
            return self._engines[owner]

    async def find(self, owner: str) -> Engine | None:
        if OWNER.match(owner) and (owner in self._engines or await asyncio.to_thread(self._file(owner).exists)):
            return await self.of(owner)
        return None

    async def close(self) -> None:
        """Close every engine. Harmless when called twice."""
        async with self._opening:
            self._closed = True
            for engine in self._engines.values():
                await engine.close()

    def _file(self, owner: str) -> Path:
        return self._directory / f"{owner}.db"
