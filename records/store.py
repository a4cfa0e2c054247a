"""The record store: one data directory opened, its parts wired together."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Self

from blobstore.backends.where import IN_FILES, Where, intake
from blobstore.durable import make_folders
from blobstore.errors import BlobError, StorageUnavailable
from blobstore.gc import Collected, Collector, Wanted
from blobstore.space import NO_FLOOR, Floor
from blobstore.store import BlobStore
from records.agreement import require_agreement, require_one_store, require_own_directory
from records.audit.checkpoints import Checkpoints
from records.audit.disclosures import Disclosures
from records.audit.outboxes import Audit
from records.bag.export import Exports
from records.bag.imports import Imports, Ways
from records.collections import Collections, removal_event
from records.consent.access import Access
from records.consent.consents import Consents
from records.copies import Copies
from records.erasure.erasures import Erasures
from records.erasure.ledger import Ledger
from records.erasure.ledgers.file import FileLedger
from records.erasure.ledgers.following import FollowingLedger
from records.erasure.passes import Passes
from records.erasure.residue import Residues
from records.holdings import Holdings
from records.keyring import Keyring
from records.layout import LOCKS, RESTORING, Topology, parts_of
from records.locking.files import FileLocks
from records.locking.shared import SharedLocks
from records.locks import LEDGER, Locks, waited_for
from records.moving.either import EitherEngines
from records.moving.elsewhere import require_all_here
from records.moving.moves import Moves
from records.opening import Parts
from records.pauses import Pauses
from records.reading.gallery import Galleries
from records.reading.reach import Reaches
from records.reading.reads import Reads
from records.registry import Registry
from records.thumbnails.thumbnails import Thumbnails
from records.writing.attachments import Attachments
from records.writing.ingest import Ingests
from records.writing.possession import Possession
from records.writing.room import Room
from records.writing.state import States
from records.writing.uploads import Uploads

DRAIN_SECONDS = 5.0
"""So long a store that is closed tries to drain."""

FORGOTTEN_AT_ONCE = 10_000
"""Rows that go in one transaction: writers go on between two."""


class RecordStore:
    """Everything above bytes, by what it is for; each part is an attribute."""

    def __init__(
        self,
        directory: Path,
        blobs: BlobStore,
        parts: Parts,
        keyring: Keyring,
        ledger: Ledger,
        locks: Locks,
        *,
        validate: bool = False,
    ) -> None:
        self.directory = directory
        self.topology = parts.topology
        self.blobs = blobs
        self.central = central = parts.central
        self.engines = engines = parts.engines
        self.database = parts.database
        self._parts = parts
        self.keyring = keyring
        self.ledger = ledger
        self.audit = Audit(central, engines, blobs.catalogue)
        self.checkpoints = Checkpoints(central, blobs.catalogue, self.audit, keyring)
        self.access = Access(central)
        self.registry = Registry(central)
        self.consents = Consents(central, self.registry, keyring)
        self.disclosures = Disclosures(central, keyring)
        reaches = Reaches(self.registry, central, engines)
        self.reads = Reads(reaches, engines, keyring, self.disclosures)
        self.galleries = Galleries(reaches, engines, blobs.catalogue, keyring)
        self.room = Room(blobs.catalogue, engines, blobs.disk.require_room)
        self.locks = locks
        copies = Copies(self.locks)
        self.pauses = Pauses(self.locks)
        self.residues = Residues(directory, parts.tables, blobs, central, engines)
        self.collector = Collector(blobs, Holdings(central, engines, blobs.catalogue), removal_event)
        self.erasures = Erasures(
            self.locks,
            central,
            engines,
            blobs.catalogue,
            self.collector,
            self.registry,
            self.audit,
            self.checkpoints,
            keyring,
            ledger,
            self.residues,
            copies,
        )
        self.passes = Passes(keyring, central, self.erasures)
        waits = self.erasures.settled, self.pauses.require_none
        self.ingests = Ingests(self.registry, engines, blobs.catalogue, keyring, self.room, *waits, validate=validate)
        self.attachments = Attachments(blobs, self.registry, reaches, engines, keyring, self.room, *waits)
        self.thumbnails = Thumbnails(self.attachments, blobs.catalogue)
        self.uploads = Uploads(blobs, self.attachments)
        self.possession = Possession(blobs, self.registry, self.attachments, keyring)
        self.states = States(central, self.registry, *waits)
        self.imports = Imports(Ways(blobs, central, self.registry, self.attachments, self.ingests, self.states))
        self.exports = Exports(blobs, central, engines, self.registry, self.checkpoints, keyring.signer(), copies)
        self.moves = Moves(central, engines.files) if isinstance(engines, EitherEngines) else None
        self.collections = Collections(blobs.catalogue, self.collector, self.erasures)

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        validate: bool = False,
        floor: Floor = NO_FLOOR,
        ledger: Path | None = None,
        restoring: bool = False,
        topology: Topology = Topology.SINGLE,
        database_url: str | None = None,
        where: Where | None = IN_FILES,
        secret_file: Path | None = None,
    ) -> Self:
        """Open, or make, a data directory: records and what is central as the topology has them, blobs `where` told.

        `validate` holds records against the schemas of their streams when they are ingested. Where less than `floor`
        is free on the disk, nothing more is taken in. `ledger` is the file of the erasure ledger, where it is not
        with the bytes. `restoring`: the caller is restoring the directory, which nobody else may open before that is
        done. `database_url` says where the database of the topology `postgres` is. `where` is None where the catalogue
        is to say so. `secret_file` has the secret where the directory has it not.

        A directory of the topology `postgres` that is new joins the store whose database it is given, where the bytes
        live in S3 and the secret is that store's.

        Raises `StorageUnavailable` or `WrongStore` when it cannot be served, or when a part of it is gone.
        """
        if not restoring:
            await asyncio.to_thread(_require_restored, directory)
        await asyncio.to_thread(_require_whole, directory, parts_of(topology, where, secret_file))
        await asyncio.to_thread(_make_private, directory)
        keyring = None
        if topology is not Topology.POSTGRES:  # there it may join others, whose secret it must have
            keyring = await asyncio.to_thread(Keyring.open, directory, secret_file)
        async with AsyncExitStack() as failing:
            parts = await Parts.open(directory, topology, database_url, restoring=restoring)
            failing.push_async_callback(parts.close)
            where = where or await intake(parts.catalogue)
            if keyring is None:
                if not restoring:
                    await require_own_directory(directory, topology, parts.central, where, secret_file)
                    await require_all_here(parts.central, directory)
                keyring = await asyncio.to_thread(Keyring.open, directory, secret_file)
            store_id = await parts.catalogue.store_id()
            await require_one_store(directory, topology, parts.central, store_id, keyring)
            if restoring:
                await parts.catalogue.gather(where.location, where.options)
            blobs = await BlobStore.open(directory, floor, parts.catalogue, where)
            failing.push_async_callback(blobs.close)
            await require_agreement(directory, topology, parts.central, blobs.catalogue)
            locks = SharedLocks(FileLocks(directory / LOCKS), parts.rows, blobs.staging.host)
            failing.push_async_callback(locks.close)
            written = await _ledger(ledger, directory, store_id, blobs, locks)
            failing.pop_all()
        return cls(directory, blobs, parts, keyring, written, locks, validate=validate)

    async def collect(self, grace: float) -> Collected:
        """Collect all that has been garbage for `grace` seconds; finish erasures that were cut off.

        Raises what `Collector.collect` raises.
        """
        return await self.collections.run(Wanted(grace))

    async def forget(self, before: float) -> None:
        """Drop what is remembered of records from before a moment (UTC seconds): older change tokens are too old."""
        for owner in await self.central.owners():
            engine = await self.engines.of(owner.id)
            while await engine.forget(before, FORGOTTEN_AT_ONCE):
                pass

    async def close(self) -> None:
        """Cut off erasures under way, drain what can be drained, and let go of everything.

        What cannot be drained waits in its outbox: all of it is durable, so nothing that was done is called failed.
        """
        try:
            await self.erasures.close()
            with suppress(BlobError, TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self.audit.drain_all()
        finally:
            await self.let_go()

    async def let_go(self) -> None:
        """Close everything and drain nothing: for who only looked."""
        await self.thumbnails.close()
        await self.locks.close()
        await self.blobs.close()
        await self._parts.close()


async def _ledger(file: Path | None, directory: Path, store_id: str, blobs: BlobStore, locks: Locks) -> Ledger:
    """The one file, where it is named; else it is where the bytes are."""
    if file is not None:
        return await FileLedger.open(file, store_id)
    alone = partial(waited_for, locks, f"{LEDGER}write")
    return await FollowingLedger.open(directory, store_id, blobs.notes, alone)


def _require_restored(directory: Path) -> None:
    if (directory / RESTORING).exists():
        raise StorageUnavailable(f"{directory} is being restored, or that was cut off: run `blobstore restore` again")


def _require_whole(directory: Path, parts: Sequence[str]) -> None:
    """Raise `StorageUnavailable` where a part is gone: an empty one in its place would be taken for the truth.

    A part that is missing was lost only if a later one is there; looked at from the last to the first, so that a
    directory which others are making at this moment, or began to make, is not taken for a damaged one.
    """
    later = None
    for part in reversed(parts):
        path = directory / part
        if path.is_file() and not path.stat().st_size and later is not None:
            raise StorageUnavailable(f"{part} of the data directory is empty; restore it from a backup")
        if path.exists():
            later = part
        elif later is not None:
            raise StorageUnavailable(f"{part} of the data directory is missing; restore it from a backup")


def _make_private(directory: Path) -> None:
    """Personal data: nobody but the server's own user may look."""
    make_folders(directory, 0o700)
    (directory / LOCKS).mkdir(mode=0o700, exist_ok=True)
