"""Making a snapshot of a store that goes on being written to."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blobstore.backends.where import Where, intake
from blobstore.catalogue import Catalogue, State, Stored
from blobstore.copying import copy_object
from blobstore.durable import sync_file, write_durably
from blobstore.errors import BlobNotFound, ContentMismatch, StorageUnavailable, WrongStore
from blobstore.pinned import pinned
from records import times
from records.erasure.ledger import Position
from records.layout import CONFIGURATION, STORE_ID
from records.snapshots import manifest
from records.snapshots.manifest import Manifest
from records.snapshots.moments import moments
from records.snapshots.places import require_in_one_place
from records.snapshots.repository import BATCH, Repository
from records.store import RecordStore

PLAIN = (STORE_ID, CONFIGURATION)
"""Files that never change once they are there (the last: while programs run), so they are of any moment."""

TRIES = 20
"""Moments that are taken before it is given up. Each needs only what was stored since the one before it."""

Progress = Callable[[int], None]
"""Is told of bytes as they are copied or found to be there already."""


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot that was made: what it holds, and how much of that was new. Sizes in bytes."""

    manifest: Manifest
    copied_blobs: int
    copied_bytes: int
    dropped: Sequence[int]


class _Overtaken(Exception):
    """An erasure took away bytes that the moment knew."""


async def back_up(store: RecordStore, out: Path, *, keep: int | None = None, progress: Progress | None = None) -> Made:
    """Add a snapshot of the store to the backup in `out`, made if need be; `keep` only that many, newest first.

    Writers, erasures and collections go on. Blobs that the store itself has lost are listed as missing: the snapshot is
    good without them, but somebody must be told. Raises `WrongStore`, `OutOfSpace`, `StorageUnavailable`; the last also
    where a part of the store is in files and another in a database.
    """
    _require_apart(store.directory, out)
    opened = Repository.for_writing(out, await store.blobs.catalogue.store_id())
    repository = await asyncio.to_thread(opened.__enter__)
    try:
        backup = _Backup(store, repository, progress or (lambda _: None))
        async with pinned(store.blobs, None):
            made = await backup.make()
        dropped = [] if keep is None else repository.numbers()[:-keep]
        for number in dropped:
            await asyncio.to_thread(repository.drop, number)
        await asyncio.to_thread(repository.sweep)
        return Made(made, backup.copied_blobs, backup.copied_bytes, dropped)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)


class _Backup:
    def __init__(self, store: RecordStore, repository: Repository, progress: Progress) -> None:
        self._store = store
        self._repository = repository
        self._progress = progress
        self._ahead = repository.staged()
        self._moments = moments(store, self._ahead)
        self.copied_blobs = 0
        self.copied_bytes = 0

    async def make(self) -> Manifest:
        """Most bytes first, while no snapshot of a database is held; then a moment, and what it knows beyond them."""
        await self._copy_ahead()
        try:
            for _ in range(TRIES):
                with suppress(_Overtaken):
                    return await self._moment()
        finally:
            await asyncio.to_thread(shutil.rmtree, self._ahead, ignore_errors=True)
        raise StorageUnavailable("erasures took away what was being copied each time; try again when fewer run")

    async def _copy_ahead(self) -> None:
        async for page in _live(self._store.blobs.catalogue):
            await asyncio.gather(*map(self._copy, page))

    async def _moment(self) -> Manifest:
        folder = await asyncio.to_thread(self._repository.begin)
        ledger = await self._store.ledger.position()  # before: what is written meanwhile may, or may not, be in it
        where = await intake(self._store.blobs.catalogue)
        await require_in_one_place(self._store)
        async with self._moments() as found:
            at = times.now()
            async with found.catalogue(folder) as catalogue:
                await self._copy_blobs(catalogue, folder)
            await found.copy(folder)
            await asyncio.to_thread(self._copy_plain, folder)
        await require_in_one_place(self._store)
        return await asyncio.to_thread(self._finish, folder, at, ledger, where)

    async def _copy_blobs(self, catalogue: Catalogue, folder: Path) -> None:
        """All bytes that the catalogue names, and the lists of them."""
        with (folder / manifest.BLOBS).open("x") as listed, (folder / manifest.MISSING).open("x") as missing:
            async for page in _live(catalogue):
                there = await asyncio.gather(*map(self._copy, page))
                for stored, is_there in zip(page, there, strict=True):
                    if not is_there:
                        await self._require_lost(stored)
                    (listed if is_there else missing).write(manifest.line(stored))

    async def _copy(self, stored: Stored) -> bool:
        """Whether the object is in the backup now."""
        blobs, repository = self._store.blobs, self._repository
        try:
            copied = await blobs.ask(copy_object, blobs.backend, repository.blobs, stored, repository.staged())
        except (BlobNotFound, ContentMismatch):
            return False
        self.copied_blobs += copied
        self.copied_bytes += stored.size * copied
        self._progress(stored.size)
        return True

    async def _require_lost(self, stored: Stored) -> None:
        """Raise `_Overtaken` unless the generation is still live: its bytes are gone, and nobody meant them to be."""
        for row in await self._store.blobs.catalogue.generations(stored.name.namespace, stored.name.digest):
            if row.name == stored.name and row.state is State.LIVE:
                return
        raise _Overtaken

    def _copy_plain(self, folder: Path) -> None:
        self._store.keyring.save(folder)  # it may lie elsewhere
        for name in PLAIN:
            if (self._store.directory / name).exists():
                shutil.copyfile(self._store.directory / name, folder / name)

    def _finish(self, folder: Path, at: str, ledger: Position, where: Where) -> Manifest:
        store_id = (self._store.directory / STORE_ID).read_text()
        number = self._repository.next_number()
        made = Manifest.of(folder, store_id, self._store.topology, number, at, ledger, where)
        for file in made.files:
            (folder / file.path).chmod(0o600)
            sync_file(folder / file.path)
        write_durably(folder / manifest.MANIFEST, made.signed(self._store.keyring.signer()))
        self._repository.finish(folder)
        return made


async def _live(catalogue: Catalogue) -> AsyncIterator[list[Stored]]:
    """Every live generation, in pieces."""
    after = None
    while page := await catalogue.walk(after, BATCH):
        yield [stored for stored in page if stored.state is State.LIVE]
        after = page[-1].name


def _require_apart(data: Path, out: Path) -> None:
    mine, theirs = data.resolve(), out.resolve()
    if mine == theirs or mine in theirs.parents or theirs in mine.parents:
        raise WrongStore("a backup inside the data directory, or around it, is none; put it somewhere else")
