"""One connector on its way out: a bundle is written and verified, and what it has is erased, no more and no less.

The connector is paused before it is decided, so that no record and no upload comes any more. Then its bag is made anew:
where it is another one than the bundle's, the bundle is written again, and nobody waits for a quiet moment that may
never come. Sync state, the manifest and accounts are held against the bundle in the step that begins the erasure.

The bundle knows from its beginning which erasure will be that of its connector. So whoever finds it after a crash can
tell whether that was begun, and finishes it.
"""

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from blobstore.durable import sync_folder, write_durably
from blobstore.errors import translated
from records import times
from records.audit import spine
from records.bag.export import Export
from records.bag.imports import LIMIT
from records.bundle import document as documents
from records.bundle import folder as folders
from records.bundle.document import Document, File
from records.bundle.extract import line_of
from records.bundle.folder import BAG, DOCUMENT, SPINE, NewFile
from records.bundle.verified import verify
from records.central import About, Owner, Seen
from records.consent.scope import Scope
from records.erasure.erasures import new_id
from records.erasure.report import Erasure
from records.errors import Conflict, Unknown
from records.store import RecordStore

PAGE = 500
"""Events that are read at once."""

WAIT = 30.0
"""Seconds that an erasure waits for readers."""

TRIES = 5
"""Times that the bundle is held against what is there. Only what began before the pause can make it another one."""


@dataclass(frozen=True, slots=True)
class Detached:
    """What went into a bundle; `erasure` is None where the connector was kept."""

    document: Document
    records: int
    erasure: Erasure | None


class Detaching:
    """Takes one connector of an owner out into the folder `out`."""

    def __init__(self, store: RecordStore, owner: Owner, connector: str, out: Path) -> None:
        self._store = store
        self._owner = owner
        self._connector = connector
        self._out = out
        self._bundle: tuple[Document, int]

    async def copy(self) -> Detached:
        """A bundle, and the connector stays."""
        key = await self._key()
        if not await asyncio.to_thread(self._out.exists):
            await self._write(key, None)
        return Detached(*await self._verified(key), None)

    async def move(self) -> Detached:
        """A bundle, and the connector is erased; goes on where it was cut off."""
        erasure = await asyncio.to_thread(folders.erasure_of, self._out)
        if erasure is not None and await self._store.central.erasure(self._owner.id, erasure) is not None:
            return await self._finished(erasure)
        key = await self._key()
        if not await asyncio.to_thread(self._out.exists):
            erasure = new_id()
            await self._write(key, erasure)
        self._bundle = await self._verified(key)
        erasures, id = self._store.erasures, erasure or new_id()
        # One that was made without an id is a copy that somebody wanted to keep.
        decide = partial(self._decide, key, id, may_replace=erasure is not None)
        goes = await erasures.coverage.of_connector(self._owner, key)
        done = await erasures.erase_if(self._owner, goes, id, decide, wait=WAIT)
        await self._keep_receipt(done)
        return Detached(*self._bundle, done)

    # -- deciding --------------------------------------------------------------------------------------------------

    async def _decide(
        self, key: str, erasure: str, begin: Callable[[Seen], Awaitable[bool]], *, may_replace: bool
    ) -> None:
        """Begin the erasure once the bundle has all that it will take (`records.erasure.runs.Decide`).

        Raises `Conflict`, and whatever keeps it from being decided; the connector goes on as before then.
        """
        async with self._store.pauses.pausing(self._owner, key):
            await self._fence(key)
            for _ in range(TRIES):
                seen = await self._seen(key)
                if seen is None and not may_replace:
                    raise Conflict(
                        "the connector was written to since its bundle was made: stop its collector, remove the bundle"
                        " and detach again; nothing was erased"
                    )
                if seen is None:
                    await self._write(key, erasure, replace=True)
                    self._bundle = await self._verified(key)
                    continue
                await asyncio.to_thread(folders.keep_erasure, self._out, erasure)
                if await begin(seen):
                    return
        raise Conflict("the connector changes all the time: stop its collector and detach again; nothing was erased")

    async def _fence(self, key: str) -> None:
        """What began before the pause fails: batches that are not stored yet, and uploads."""
        store, owner = self._store, self._owner
        await (await store.engines.of(owner.id)).fence(key, None)
        await store.collector.drop_staged(await store.blobs.catalogue.fence(owner.id, key, None))

    async def _seen(self, key: str) -> Seen | None:
        """What the central store had when the connector made this very bag; None where it makes another one now."""
        async with self._store.exports.open(self._owner, key) as now:
            return now.seen(key) if now.name == self._bundle[0].bag else None

    # -- after a crash ---------------------------------------------------------------------------------------------

    async def _finished(self, erasure: str) -> Detached:
        """The erasure was begun: from then on the bundle is all there is."""
        if await asyncio.to_thread(folders.has_receipt, self._out) and await self._is_back():
            raise Conflict(f"{self._out} is the bundle of an erasure that is done; the connector has come again since")
        done = await self._store.erasures.finish(self._owner, erasure, wait=WAIT)
        await self._keep_receipt(done)
        return Detached(*await self._verified(None), done)

    async def _is_back(self) -> bool:
        try:
            await self._key()
        except Unknown:
            return False
        return True

    async def _keep_receipt(self, done: Erasure) -> None:
        if done.receipt is not None:
            await asyncio.to_thread(folders.keep_receipt, self._out, done.receipt + b"\n")

    # -- the bundle ------------------------------------------------------------------------------------------------

    async def _key(self) -> str:
        return (await self._store.registry.connector(Scope.of_owner(self._owner), self._connector)).key

    async def _verified(self, key: str | None) -> tuple[Document, int]:
        """What the bundle says, and how many records it has; `key` is the connector whose it must be."""
        found = await verify(self._store.imports, self._out, self._store.checkpoints.public_key, LIMIT)
        found.close()
        if key not in (None, found.document.connector):
            raise Conflict(f"{self._out} is there already, and another connector's")
        return found.document, found.records

    async def _write(self, key: str, erasure: str | None, *, replace: bool = False) -> None:
        part = self._out.with_name(f".{self._out.name}.{secrets.token_hex(4)}.part")
        try:
            async with self._store.exports.open(self._owner, key) as export:
                await self._store.exports.note(self._owner, export)
                await _write_bag(export, part / BAG)
                name = export.name
            facts = {"connector": key, "bag": name, "kept": erasure is None}
            event = spine.body("connector.detach", facts)
            await self._store.central.note(self._owner.id, event, times.now(), About())
            await self._sign(key, name, part)
            if erasure is not None:
                await asyncio.to_thread(folders.keep_erasure, part, erasure)
            await asyncio.to_thread(_publish, part, self._out, replace=replace)
        finally:
            await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)

    async def _sign(self, key: str, bag: str, part: Path) -> None:
        """The audit log, up to its head as it is now, and the document that says so."""
        embedded = await self._store.checkpoints.members(self._owner)
        head = embedded["spine_head"]
        last = head["seq"] if isinstance(head, Mapping) else 0
        file = await asyncio.to_thread(NewFile, part / SPINE)
        after = 0
        while after < last:
            events = await self._store.central.spine(self._owner.id, after, min(PAGE, last - after))
            await asyncio.to_thread(file.write, b"".join(line_of(each, key) for each in events))
            after = events[-1].seq
        written = File.of(await asyncio.to_thread(file.close))
        said = documents.of(embedded, key, bag, written)
        await asyncio.to_thread(write_durably, part / DOCUMENT, documents.make(self._store.keyring.signer(), said))


async def _write_bag(export: Export, folder: Path) -> None:
    async for member in export.members():
        file = await asyncio.to_thread(NewFile, folder / member.path)
        for offset in range(0, member.size, folders.PIECE):
            length = min(folders.PIECE, member.size - offset)
            await asyncio.to_thread(file.write, await export.read_member(member, offset, length))
        await asyncio.to_thread(file.close)


def _publish(part: Path, out: Path, *, replace: bool) -> None:
    """It has its name once it is whole, and on the disk."""
    with translated(str(out)):
        folders.sync_all(part)
        former = part.with_suffix(".former")
        if replace:
            out.rename(former)
        part.rename(out)  # onto a folder that has files this fails
        sync_folder(out.parent)
        if replace:
            shutil.rmtree(former)
