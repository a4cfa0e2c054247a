"""Bundles: a connector taken out whole, verified as whoever attaches it will verify it, and only then erased here."""

import asyncio
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blobstore.digest import Hasher
from blobstore.durable import sync_folder, write_durably
from blobstore.errors import translated
from records import times
from records.audit import spine
from records.bag.export import Export
from records.bag.folder import FolderArchive
from records.bag.imports import LIMIT, CheckedBag, Imported
from records.bundle import document as documents
from records.bundle import folder as folders
from records.bundle.accounts import names_here
from records.bundle.document import Document, File
from records.bundle.extract import Checker, line_of
from records.bundle.folder import BAG, DOCUMENT, MAX_DOCUMENT, RECEIPT, SPINE, NewFile
from records.central import About, Owner
from records.consent.scope import Scope
from records.erasure.erasures import Erasure
from records.errors import BadBag, Conflict
from records.store import RecordStore

PAGE = 500
"""Events that are read at once."""

WAIT = 30.0
"""Seconds that an erasure waits for readers."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle that is sound: what it says, who signed it, how many events and records it has."""

    document: Document
    signer: str
    events: int
    records: int
    bag: CheckedBag
    archive: FolderArchive

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        self.bag.close()
        self.archive.close()


@dataclass(frozen=True, slots=True)
class Detached:
    """What went into a bundle; `erasure` is None where the connector was kept."""

    document: Document
    records: int
    erasure: Erasure | None


class Bundles:
    """Detaches and attaches connectors of one store."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    # -- out -------------------------------------------------------------------------------------------------------

    async def detach(self, owner: Owner, connector: str, out: Path, *, keep: bool) -> Detached:
        """Write a bundle to a folder that is not there yet, verify it, and erase the connector unless it is to `keep`.

        Where the folder is there already and is this bundle, it is gone on from there. Raises `Unknown`, `BadBag`, and
        `Conflict` where the connector was written to since the bundle was made; nothing is erased then.
        """
        store = self._store
        key = (await store.registry.connector(Scope.of_owner(owner), connector)).key
        if not await asyncio.to_thread(out.exists):
            await self._write(owner, key, out, keep=keep)
        verified = await self.verify(out, public_key=store.checkpoints.public_key)
        try:
            if verified.document.connector != key:
                raise Conflict(f"{out} is there already, and another connector's")
            if keep:
                return Detached(verified.document, verified.records, None)
            await self._require_unchanged(owner, key, verified.document)
        finally:
            verified.close()
        goes = await store.erasures.coverage.of_connector(owner, key)
        done = await store.erasures.erase(owner, goes, wait=WAIT)
        if done.receipt is not None:
            await asyncio.to_thread(write_durably, out / RECEIPT, done.receipt + b"\n")
        return Detached(verified.document, verified.records, done)

    async def _write(self, owner: Owner, key: str, out: Path, *, keep: bool) -> None:
        part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
        try:
            async with self._store.exports.open(owner, key) as export:
                await self._store.exports.note(owner, export)
                await _write_bag(export, part / BAG)
                name = export.name
            facts = {"connector": key, "bag": name, "kept": keep}
            await self._note(owner, "connector.detach", facts)
            await self._sign(owner, key, name, part)
            await asyncio.to_thread(_publish, part, out)
        finally:
            await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)

    async def _sign(self, owner: Owner, key: str, bag: str, part: Path) -> None:
        """The audit log, up to its head as it is now, and the document that says so."""
        embedded = await self._store.checkpoints.members(owner)
        head = embedded["spine_head"]
        last = head["seq"] if isinstance(head, Mapping) else 0
        file = await asyncio.to_thread(NewFile, part / SPINE)
        after = 0
        while after < last:
            events = await self._store.central.spine(owner.id, after, min(PAGE, last - after))
            await asyncio.to_thread(file.write, b"".join(line_of(each, key) for each in events))
            after = events[-1].seq
        written = File.of(await asyncio.to_thread(file.close))
        said = documents.of(embedded, key, bag, written)
        await asyncio.to_thread(write_durably, part / DOCUMENT, documents.make(self._store.keyring.signer(), said))

    async def _require_unchanged(self, owner: Owner, key: str, document: Document) -> None:
        """What the connector has now would make the very same bag: the same data are the same bytes."""
        async with self._store.exports.open(owner, key) as now:
            if now.name != document.bag:
                raise Conflict(
                    "the connector was written to since its bundle was made: stop its collector, remove the bundle"
                    " and detach again; nothing was erased"
                )

    # -- in --------------------------------------------------------------------------------------------------------

    async def verify(self, folder: Path, *, public_key: str | None = None, limit: int = LIMIT) -> Verified:
        """Read a bundle to its last byte; `close` what it gives back. Nothing is stored.

        `public_key` is whose signature it must have. Raises `BadBag`, `StorageUnavailable`, `OutOfSpace`.
        """
        await asyncio.to_thread(folders.require_form, folder)
        text = await asyncio.to_thread(folders.text_of, folder / DOCUMENT, MAX_DOCUMENT)
        document, signer = documents.read(text, public_key)
        events = await asyncio.to_thread(_check_spine, folder, document, limit)
        archive = await asyncio.to_thread(FolderArchive, folder / BAG)
        try:
            bag = await self._store.imports.check(archive, limit)
        except BaseException:
            archive.close()
            raise
        verified = Verified(document, signer, events, bag.found.records + bag.found.skipped, bag, archive)
        if bag.name != document.bag or list(bag.found.manifests) != [document.connector]:
            verified.close()
            raise BadBag("its bag is another one than its signature says")
        return verified

    async def attach(self, owner: Owner, verified: Verified, renamed: Mapping[str, str]) -> Imported:
        """Store what a verified bundle holds, for this owner. Again is harmless, and goes on where it was cut off.

        An account keeps its name where that is free here, else it gets another (`renamed` says which, or one is made).
        Raises `Conflict` before anything is stored: the connector is here with another manifest, or an account of it
        has other records; and what imports raise.
        """
        names = await names_here(self._store, owner, verified.bag, renamed)
        imported = await self._store.imports.load(owner, verified.bag, verified.document.connector, names)
        facts = {
            "connector": verified.document.connector,
            "bag": verified.document.bag,
            "from": verified.document.store_id,
            "signed_by": verified.signer,
        }
        await self._note(owner, "connector.attach", facts)
        return imported

    async def _note(self, owner: Owner, kind: str, facts: Mapping[str, object]) -> None:
        await self._store.central.note(owner.id, spine.body(kind, facts), times.now(), About())


async def _write_bag(export: Export, folder: Path) -> None:
    async for member in export.members():
        file = await asyncio.to_thread(NewFile, folder / member.path)
        for offset in range(0, member.size, folders.PIECE):
            length = min(folders.PIECE, member.size - offset)
            await asyncio.to_thread(file.write, await export.read_member(member, offset, length))
        await asyncio.to_thread(file.close)


def _publish(part: Path, out: Path) -> None:
    """It has its name once it is whole, and on the disk."""
    with translated(str(out)):
        folders.sync_all(part)
        part.rename(out)  # onto a folder that has files this fails
        sync_folder(out.parent)


def _check_spine(folder: Path, document: Document, limit: int) -> int:
    hasher, checker = Hasher(), Checker(document.connector, document.spine_head)
    checker.feed(folders.lines_of(folder / SPINE, hasher, limit))
    checker.finish()
    if File.of(hasher.finish()) != document.spine:
        raise BadBag(f"{SPINE} is another one than its signature says")
    return checker.events
