"""Making a data directory of a snapshot: verified before it is touched, and servable only when all of it is right.

The first thing that is written is a file that keeps everybody from opening the directory, the last step is to remove
it. What is cut off in between is begun again; nothing of it was ever served. In between:

1. the blobs, each durable under its name, then the databases
2. leases of the old life go; blobs that the store had lost when the snapshot was made are quarantined
3. versions leap, so that change tokens given out after the snapshot are too old instead of missing changes
4. links are counted against holders, in both directions, as `doctor` does
5. what waits for the spine is drained, and every spine says that its owner's data came back from a backup
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from blobstore.backends.filesystem import FilesystemBackend
from blobstore.catalogue import Stored
from blobstore.copying import copy_object, verify_object
from blobstore.durable import make_folders, sync_folder, write_durably
from blobstore.errors import BlobError, Damaged, StorageUnavailable, translated
from records import spine, times
from records.accounts import accounts
from records.central import Owner
from records.keyring import Keyring
from records.snapshots import manifest
from records.snapshots.manifest import Manifest
from records.snapshots.repository import BATCH, Repository
from records.store import RESTORING, RecordStore

THREADS = 4
"""Blobs that are read at once."""

Progress = Callable[[int], None]
"""Is told of bytes as they are verified, and again as they are copied."""

SOURCE = "restore"
"""The outbox, as the spine knows it, of what restores have to tell."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and what the recount mended: holders added and dropped."""

    manifest: Manifest
    held: int = 0
    released: int = 0


class _Marker(msgspec.Struct, frozen=True):
    store: str
    snapshot: int


def check(out: Path, number: int | None = None, progress: Progress | None = None) -> Manifest:
    """Verify a snapshot (None: the newest) and every blob that it needs. Blocks. Raises `Damaged`."""
    with Repository.for_reading(out) as repository:
        return _verified(repository, number, progress or (lambda _: None))


async def restore(out: Path, data: Path, *, number: int | None = None, progress: Progress | None = None) -> Restored:
    """Make `data`, which must be empty or not there, of a snapshot (None: the newest).

    Where a restore of the same snapshot was cut off, it is begun again. Raises `Damaged` when the snapshot is not what
    was written, `StorageUnavailable` when the directory is not empty or being restored from another snapshot.
    """
    with Repository.for_reading(out) as repository:
        found = await asyncio.to_thread(_verified, repository, number, progress or (lambda _: None))
        await asyncio.to_thread(_begin, data, found)
        await asyncio.to_thread(_copy, repository, found, data, progress or (lambda _: None))
        held, released = await _settle(data, found, repository.folder(found.snapshot))
    await asyncio.to_thread(_end, data)
    return Restored(found, held, released)


# -- verify ------------------------------------------------------------------------------------------------------------


def _verified(repository: Repository, number: int | None, progress: Progress) -> Manifest:
    numbers = repository.numbers()
    wanted = number if number is not None else max(numbers, default=0)
    if wanted not in numbers:
        raise StorageUnavailable(f"{repository.root} has no snapshot {wanted}; it has {numbers}")
    folder = repository.folder(wanted)
    found, key = manifest.read(folder)
    if found.snapshot != wanted:
        raise Damaged(f"the manifest in {folder.name} is that of snapshot {found.snapshot}")
    manifest.verify(folder, found)
    signed_here = Keyring((folder / "secret").read_bytes()).signer().public_key == key
    if not signed_here or (folder / "store-id").read_text() != found.store:
        raise Damaged(f"the manifest of snapshot {wanted} is that of another store")

    def verify(stored: Stored) -> None:
        try:
            verify_object(repository.blobs, stored)
        except BlobError as error:
            raise Damaged(f"blob {stored.name.digest} of snapshot {wanted} is missing or damaged: {error}") from error
        progress(stored.size)

    _each(folder / manifest.BLOBS, verify)
    return found


def _each(blobs: Path, work: Callable[[Stored], object]) -> None:
    """Do the work for each blob of a list, some at a time."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="restore") as pool:
        for page in manifest.pages(blobs, BATCH):
            for _ in pool.map(work, page):
                pass


# -- copy --------------------------------------------------------------------------------------------------------------


def _begin(data: Path, found: Manifest) -> None:
    """Take the directory: nobody opens it from here on."""
    marker = _Marker(found.store, found.snapshot)
    with translated(str(data)):
        make_folders(data)
        data.chmod(0o700)
        begun = data / RESTORING
        if begun.exists():
            try:
                other = msgspec.json.decode(begun.read_bytes(), type=_Marker)
            except msgspec.DecodeError:
                other = None
            if other != marker:
                raise StorageUnavailable(f"{data} is being restored from another snapshot; remove it, or take that one")
        elif any(entry.name not in ("lost+found", f".{RESTORING}.new") for entry in data.iterdir()):
            raise StorageUnavailable(f"{data} is not empty; a backup is never restored over something else")
        else:
            write_durably(begun, msgspec.json.encode(marker))


def _copy(repository: Repository, found: Manifest, data: Path, progress: Progress) -> None:
    folder = repository.folder(found.snapshot)
    blobs, staging = FilesystemBackend(data / "blobs"), data / "staging" / RESTORING
    with translated(str(data)):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)

    def copy(stored: Stored) -> None:
        copy_object(repository.blobs, blobs, stored, staging / secrets.token_hex(16))
        progress(stored.size)

    _each(folder / manifest.BLOBS, copy)
    with translated(str(data)):
        shutil.rmtree(staging)
        for path in (*data.glob("*.db*"), *data.glob("records/*")):  # of a restore that was cut off
            path.unlink()
        (data / "records").mkdir(mode=0o700, exist_ok=True)
        for file in found.files:
            if file.path not in (manifest.BLOBS, manifest.MISSING):
                _copy_file(folder, file, data)
        for written in (data / "records", data):
            sync_folder(written)


def _copy_file(folder: Path, file: manifest.File, data: Path) -> None:
    target = data / file.path
    target.touch(0o600)
    with target.open("wb") as copied, (folder / file.path).open("rb") as original:
        shutil.copyfileobj(original, copied, manifest.PIECE)
        copied.flush()
        os.fsync(copied.fileno())
    if manifest.described(data, target) != file:
        raise Damaged(f"{file.path} changed while it was restored, or was not written as it was read")


def _end(data: Path) -> None:
    with translated(str(data)):
        (data / RESTORING).unlink()
        sync_folder(data)


# -- settle ------------------------------------------------------------------------------------------------------------


async def _settle(data: Path, found: Manifest, folder: Path) -> tuple[int, int]:
    """What must be done before anybody may see the directory; how many holders were added and dropped."""
    store = await RecordStore.open(data, restoring=True)
    try:
        return await _Settling(store, found).run(folder / manifest.MISSING)
    finally:
        await store.close()


class _Settling:
    def __init__(self, store: RecordStore, found: Manifest) -> None:
        self._store = store
        self._found = found
        self._held = 0
        self._released = 0

    async def run(self, missing: Path) -> tuple[int, int]:
        catalogue = self._store.blobs.catalogue
        dead = {lease.process for lease in await catalogue.leases()}
        await catalogue.expire(0.0, dead)  # leases only: claims have their time
        for pin in await catalogue.pins():
            await catalogue.unpin(pin.id)
        for page in manifest.pages(missing, BATCH):
            for stored in page:
                await catalogue.quarantine(stored.name)
        for owner in await self._store.central.owners():
            engine = await self._store.engines.find(owner.id)
            if engine is not None:
                await engine.leap()
            await self._store.audit.drain(owner)
            await self._recount(owner)
            await self._note(owner)
        await self._store.collector.remove_condemned()
        return self._held, self._released

    async def _recount(self, owner: Owner) -> None:
        """The catalogue holds what the records link, and nothing else."""
        catalogue, collector = self._store.blobs.catalogue, self._store.collector
        engine = await self._store.engines.of(owner.id)
        async for account in accounts(owner, engine, catalogue):
            if account.links and not account.kept:
                raise Damaged(f"records of {owner.subject} link {account.digest}, which the snapshot does not have")
            for connector in account.links.keys() - account.held.keys():
                await catalogue.rehold(owner.id, connector, [account.digest])
                self._held += 1
            for connector in account.held.keys() - account.links.keys():
                await collector.release(owner.id, connector, [account.digest])
                self._released += 1

    async def _note(self, owner: Owner) -> None:
        central = self._store.central
        event = spine.body("restore", {"snapshot": self._found.snapshot, "made_at": self._found.made_at})
        number = await central.delivered(owner.id, SOURCE) + 1
        await central.append(owner.id, SOURCE, [(number, event)], times.now())
