"""One moment of all databases of a store, whatever they are, and their copy in the folder of a snapshot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from blobstore.catalogue import Catalogue
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.sqlite.cut import Cut, cut
from records.layout import CATALOGUE, DATABASES, RECORDS
from records.snapshots.resting import Resting
from records.store import RecordStore


class Moment(Protocol):
    """All databases as they were at one moment. Nothing that is written to the folder is made durable here."""

    def catalogue(self, folder: Path) -> AbstractAsyncContextManager[Catalogue]:
        """The catalogue, to be read while the block lasts."""
        ...

    async def copy(self, folder: Path) -> None:
        """Write everything into the folder; once, after the catalogue was read."""
        ...


Moments = Callable[[], AbstractAsyncContextManager[Moment]]
"""Gives the moment at which the block begins; writers go on. Raises `StorageUnavailable`."""


def moments(store: RecordStore, ahead: Path) -> Moments:
    """Moments of the store. `ahead` is for copies that are made before; it becomes a folder on the snapshots' disk."""
    if store.database is None:
        return partial(_files, store.directory, Resting(store.directory, ahead))
    # Its driver is needed only where there is a database.
    from records.snapshots.database import moment_of

    return partial(moment_of, store.database)


@asynccontextmanager
async def _files(directory: Path, resting: Resting) -> AsyncIterator[Moment]:
    def databases() -> list[Path]:
        owners = (directory / RECORDS).glob("*.db")
        return [*(directory / name for name in DATABASES), *owners, *resting.others()]

    await asyncio.to_thread(resting.copy)
    with ExitStack() as ending:
        moment = await asyncio.to_thread(ending.enter_context, cut(databases))
        resting.require_whole()
        yield _Files(directory, moment, resting)


class _Files:
    def __init__(self, directory: Path, moment: Cut, resting: Resting) -> None:
        self._directory = directory
        self._moment = moment
        self._resting = resting

    @asynccontextmanager
    async def catalogue(self, folder: Path) -> AsyncIterator[Catalogue]:
        await self._copy(self._directory / CATALOGUE, folder)
        copied = await SqliteCatalogue.open(folder / CATALOGUE)
        try:
            yield copied
        finally:
            await copied.close()
            (folder / f"{CATALOGUE}.lock").unlink()

    async def copy(self, folder: Path) -> None:
        for file in self._moment.files:
            if file.name != CATALOGUE:
                await self._copy(file, folder)
        await asyncio.to_thread(self._resting.take, folder)

    async def _copy(self, file: Path, folder: Path) -> None:
        target = folder / file.relative_to(self._directory)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        await asyncio.to_thread(self._moment.copy, file, target)
