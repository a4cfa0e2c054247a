"""Making a data directory of a snapshot: verified before it is touched, and servable only when all of it is right.

The first thing that is written is a file that keeps everybody from opening the directory, the last step is to remove
it. In between come the blobs, each durable under its name, the databases, and what `settling` does. What is cut off is
begun again; nothing of it was ever served.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from blobstore.backends.where import IN_FILES, Where
from blobstore.catalogue import Stored
from blobstore.copying import copy_object, verify_object
from blobstore.durable import make_folders, sync_folder, write_durably
from blobstore.errors import BlobError, Damaged, StorageUnavailable, WrongStore, translated
from records.erasure.ledger import NAME, Read
from records.erasure.ledgers.file import read
from records.keyring import Keyring
from records.layout import RECORDS, RESTORING, Topology
from records.snapshots import manifest
from records.snapshots.manifest import Manifest
from records.snapshots.repository import BATCH, Repository
from records.snapshots.settling import Restored, settle

if TYPE_CHECKING:
    from records.snapshots.database import Target

THREADS = 4
"""Blobs that are read at once."""

NOT_COPIED = (manifest.BLOBS, manifest.MISSING)

Configure = Callable[[Path], object]
"""Is given the directory. Blocks."""

Progress = Callable[[int], None]
"""Is told of bytes as they are verified, and again as they are copied."""


class _Marker(msgspec.Struct, frozen=True):
    """What is being restored; `name` is of this restore alone, also when it is begun again."""

    store: str
    snapshot: int
    name: str = ""


def check(out: Path, number: int | None = None, progress: Progress | None = None) -> Manifest:
    """Verify a snapshot (None: the newest) and every blob that it needs. Blocks. Raises `Damaged`."""
    with Repository.for_reading(out) as repository:
        return _verified(repository, number, progress or (lambda _: None))


def chosen(out: Path, number: int | None = None) -> Path:
    """The folder of a snapshot (None: the newest), unverified. Raises `StorageUnavailable`."""
    with Repository.for_reading(out) as repository:
        return repository.folder(_choose(repository, number))


async def restore(
    out: Path,
    data: Path,
    *,
    ledger: Path | None,
    keep_ledger_in: Path | None = None,
    number: int | None = None,
    progress: Progress | None = None,
    database_url: str | None = None,
    where: Where = IN_FILES,
    configure: Configure | None = None,
) -> Restored:
    """Make `data`, which must be empty or not there, of a snapshot (None: the newest).

    `database_url` is an empty database for what was in one, in the topology `postgres`; it is needed just there.
    `where` is what the bytes go to: files of the directory, or a place in S3 that is empty or was this store's; what is
    there already under its name, with its length, is kept.
    `configure` may change the configuration that comes with the directory, before anybody may open it.

    `ledger` is the erasure ledger of the store; without it all comes back that was erased since the snapshot was made.
    It is copied to `keep_ledger_in` (None: into the directory), unless that is where it lies. Where a restore of the
    same snapshot was cut off, it is begun again. Raises `Damaged` when the snapshot is not what was written,
    `StorageUnavailable` when the directory, or the database, is not empty or being restored from another snapshot.
    """
    with Repository.for_reading(out) as repository:
        found = await asyncio.to_thread(_verified, repository, number, progress or (lambda _: None))
        _require_url(found, database_url)
        known = None if ledger is None else await asyncio.to_thread(_verified_ledger, ledger, found)
        kept = keep_ledger_in or data / NAME
        marker = await asyncio.to_thread(_begin, data, found)
        target = _target(found, database_url, marker)
        folder = repository.folder(found.snapshot)
        restored = Restored(found)
        if target is None or await target.fill(folder, found):
            await asyncio.to_thread(_copy, repository, found, data, where, progress or (lambda _: None))
            if configure is not None:
                await asyncio.to_thread(configure, data)
            if ledger is not None:
                await asyncio.to_thread(_copy_ledger, ledger, kept, data)
            entries = [] if known is None else known.beyond(found.ledger)
            restored = await settle(data, found, folder, kept, entries, database_url, where)
            if target is not None:
                await target.end()
    await asyncio.to_thread(_end, data)
    return restored


# -- verify ------------------------------------------------------------------------------------------------------------


def _verified(repository: Repository, number: int | None, progress: Progress) -> Manifest:
    wanted = _choose(repository, number)
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

    _each(folder / manifest.BLOBS, verify, THREADS)
    return found


def _choose(repository: Repository, number: int | None) -> int:
    numbers = repository.numbers()
    wanted = number if number is not None else max(numbers, default=0)
    if wanted not in numbers:
        raise StorageUnavailable(f"{repository.root} has no snapshot {wanted}; it has {numbers}")
    return wanted


def _verified_ledger(ledger: Path, found: Manifest) -> Read:
    known = read(ledger)
    if known.store != found.store:
        raise WrongStore(f"{ledger} is the erasure ledger of another store")
    if not known.reaches(found.ledger):
        raise Damaged(f"{ledger} has not come as far as when the snapshot was made: it was cut off, or is an old copy")
    return known


def _each(blobs: Path, work: Callable[[Stored], object], threads: int) -> None:
    """Do the work for each blob of a list, so many at a time."""
    with ThreadPoolExecutor(threads, thread_name_prefix="restore") as pool:
        for page in manifest.pages(blobs, BATCH):
            for _ in pool.map(work, page):
                pass


# -- copy --------------------------------------------------------------------------------------------------------------


def _require_url(found: Manifest, database_url: str | None) -> None:
    if found.topology is Topology.POSTGRES and database_url is None:
        raise StorageUnavailable(
            f"snapshot {found.snapshot} is one of a database: --database-url must say which empty one it goes into"
        )


def _target(found: Manifest, database_url: str | None, marker: _Marker) -> "Target | None":
    if found.topology is not Topology.POSTGRES or database_url is None:
        return None
    # Its driver is needed only where there is a database.
    from records.snapshots.database import Target

    return Target(database_url, marker.name)


def _begin(data: Path, found: Manifest) -> _Marker:
    """Take the directory: nobody opens it from here on."""
    marker = _Marker(found.store, found.snapshot, secrets.token_hex(16))
    with translated(str(data)):
        make_folders(data)
        data.chmod(0o700)
        begun = data / RESTORING
        if begun.exists():
            try:
                other = msgspec.json.decode(begun.read_bytes(), type=_Marker)
            except msgspec.DecodeError:
                other = None
            if other is None or (other.store, other.snapshot) != (marker.store, marker.snapshot):
                raise StorageUnavailable(f"{data} is being restored from another snapshot; remove it, or take that one")
        elif any(entry.name not in ("lost+found", f".{RESTORING}.new") for entry in data.iterdir()):
            raise StorageUnavailable(f"{data} is not empty; a backup is never restored over something else")
        else:
            write_durably(begun, msgspec.json.encode(marker))
            return marker
        return other


def _copy(repository: Repository, found: Manifest, data: Path, where: Where, progress: Progress) -> None:
    folder = repository.folder(found.snapshot)
    _copy_blobs(repository, found, data, where, progress)
    with translated(str(data)):
        for path in data.glob("*.db*"):  # of a restore that was cut off
            path.unlink()
        shutil.rmtree(data / RECORDS, ignore_errors=True)
        (data / RECORDS).mkdir(mode=0o700)
        for file in found.files:
            if file.path not in NOT_COPIED and not file.path.startswith(f"{manifest.DATABASE}/"):
                _copy_file(folder, file, data)
        for written in (*(path for path in (data / RECORDS).iterdir() if path.is_dir()), data / RECORDS, data):
            sync_folder(written)


def _copy_blobs(repository: Repository, found: Manifest, data: Path, where: Where, progress: Progress) -> None:
    staging = data / "staging" / RESTORING
    with translated(str(data)):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    with closing(where.open(data)) as blobs:
        if blobs.bind(found.store) != found.store:
            raise WrongStore(f"{where.location} has the blobs of another store; give a place of their own to these")

        def copy(stored: Stored) -> None:
            copy_object(repository.blobs, blobs, stored, staging / secrets.token_hex(16))
            progress(stored.size)

        _each(repository.folder(found.snapshot) / manifest.BLOBS, copy, blobs.threads)
    with translated(str(data)):
        shutil.rmtree(staging)


def _copy_file(folder: Path, file: manifest.File, data: Path) -> None:
    target = data / file.path
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.touch(0o600)
    with target.open("wb") as copied, (folder / file.path).open("rb") as original:
        shutil.copyfileobj(original, copied, manifest.PIECE)
        copied.flush()
        os.fsync(copied.fileno())
    if manifest.described(data, target) != file:
        raise Damaged(f"{file.path} changed while it was restored, or was not written as it was read")


def _copy_ledger(ledger: Path, kept: Path, data: Path) -> None:
    with translated(str(kept)):
        if kept.exists() and kept.samefile(ledger):
            return
        # In the directory itself it is what a restore that was cut off was given, and may be older.
        if kept.parent != data and kept.exists() and kept.read_bytes() != ledger.read_bytes():
            raise StorageUnavailable(
                f"{kept} is there already, and is not the ledger that was given; which one is right?"
            )
        make_folders(kept.parent)
        write_durably(kept, ledger.read_bytes())
        kept.chmod(0o600)


def _end(data: Path) -> None:
    with translated(str(data)):
        (data / RESTORING).unlink()
        sync_folder(data)
