"""Exports: a bag planned in one pass over the records, then sent as bytes that follow from the plan.

While one is open the owner's garbage is held back, so that no file which the plan names is collected before it is
sent. An erasure is not held back: the export breaks off, and with it goes what its scratch files still hold. The
erasure is complete after that (`records.copies`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import ParamSpec, TypeVar

from blobstore.digest import Digest
from blobstore.errors import BlobError, StorageUnavailable
from blobstore.pinned import pinned
from blobstore.store import BlobStore
from blobstore.threads import to_the_end
from records import jsontext, times
from records.audit import spine
from records.audit.checkpoints import Checkpoints
from records.bag import layout
from records.bag import watch as watching
from records.bag.contents import Contents, Member
from records.bag.plan import Plan, Progress, Selected
from records.bag.reading import CopyGone, MemberReader
from records.bag.tar import Tar, ordered
from records.bag.watch import Watch
from records.central import About, Central, Owner, Seen
from records.consent.scope import Scope, Selector
from records.copies import Copies
from records.engine import Engines
from records.errors import NotExported
from records.locks import Held
from records.model import Partition
from records.reading.reach import stats_of
from records.registry import Registration, Registry
from records.signing import Signer

P = ParamSpec("P")
T = TypeVar("T")

PAGE = 500
"""Blobs, claims or files that are asked for at once."""

ROOM = 3
"""Bytes of the disk that a byte of records takes while it is exported: as text, in the database, and some more."""

MAX_OPEN = 4
"""Exports that one process has open at once: each takes room on the disk, and a pass over all records."""

HEALED = 3
"""Times that one read looks again for a blob whose copy was replaced since it was planned."""


class Export:
    """A bag that can be read: as a tar archive, at any offset, as often as is liked. One task at a time."""

    def __init__(
        self,
        blobs: BlobStore,
        owner: Owner,
        connectors: Collection[str],
        contents: Contents,
        reader: MemberReader,
        tar: Tar,
        watch: Watch,
        selected: Selected,
        held: Held,
    ) -> None:
        """`held` is released when nothing of it is kept any more."""
        self._blobs = blobs
        self._owner = owner
        self._contents = contents
        self._reader = reader
        self._tar = tar
        self._watch = watch
        self._selected = selected
        self._held = held
        self._using = asyncio.Lock()
        self._closed = False
        self.files, _ = contents.totals("")
        self.connectors = sorted(connectors)
        """Keys of what is in it."""
        self.size = tar.size
        """Of the archive, in bytes."""
        self.name = layout.bag_name(contents.member(layout.TAG_MANIFESTS[0]).content)
        """Bags of one name are the same, byte for byte."""

    def seen(self, connector: str) -> Seen:
        """What it took of the connector from the central store."""
        states = {each.id: dict[str, bytes]() for each in self._selected.instances if each.connector == connector}
        for place, value in self._selected.states.items():
            if place.connector == connector:
                states[place.instance][place.stream] = value
        return Seen(self._selected.connectors[connector].raw, states)

    @property
    def whole(self) -> None:
        """It is never in memory as a whole."""

    def fileno(self) -> None:
        """No file holds the archive."""

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes of the archive; fewer only at its end. Keep `length` at a few MiB.

        Raises `NotExported` where something of it was erased since the bag was planned, `ContentMismatch` where a file
        is not what it was.
        """
        return await self._read(self._tar.read, offset, length)

    async def members(self) -> AsyncIterator[Member]:
        """The files of the bag, in the order in which archives have them."""
        coming = ordered(self._contents)
        while some := await self._read(lambda: list(islice(coming, PAGE))):
            for member in some:
                yield member

    async def read_member(self, member: Member, offset: int, length: int) -> bytes:
        """Bytes of one file, as `read` of the archive."""
        return await self._read(self._reader.read, member, offset, length)

    async def watch(self) -> None:
        """Until it is cancelled: let go of everything soon after some of it was erased, whether anybody reads or not.

        Who took the first bytes and then waits must not keep on the disk what is said to be gone.
        """
        while not (self._watch.erased or self._held.lost):
            await asyncio.sleep(watching.SECONDS)
            async with self._using:
                with suppress(BlobError):  # what failed is asked again
                    await self._watch.ask()
        await self.close()

    async def close(self) -> None:
        """Give the room back, once who reads just now has read; nobody reads after it. Harmless when called twice."""
        async with self._using:
            self._closed = True
            self._reader.close()
            await to_the_end(self._blobs.submit(self._contents.close))
            await self._held.release()

    async def _read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._using:
            await self._watch.require_unerased()
            if self._held.lost:  # an erasure may count on it that nothing is kept here
                raise NotExported("the database did not answer for too long; export again")
            if self._closed:
                raise NotExported("the export was given up; export again")
            for _ in range(HEALED):
                try:
                    return await to_the_end(self._blobs.submit(call, *args, **kwargs))
                except CopyGone as gone:
                    await self._look_again(gone.digest)
        raise StorageUnavailable("a blob is being replaced all the time; try again")

    async def _look_again(self, digest: Digest) -> None:
        """The copy that was planned is gone: healed, or collected and uploaded again; or erased."""
        stored = await self._blobs.catalogue.find(self._owner.id, digest)
        if stored is None:
            raise NotExported(f"{digest} was erased while it was exported; export again")
        await to_the_end(self._blobs.submit(self._contents.replace, stored))


class Exports:
    """Plans exports of an owner's data."""

    def __init__(
        self,
        blobs: BlobStore,
        central: Central,
        engines: Engines,
        registry: Registry,
        checkpoints: Checkpoints,
        signer: Signer,
        copies: Copies,
    ) -> None:
        self._blobs = blobs
        self._central = central
        self._engines = engines
        self._registry = registry
        self._checkpoints = checkpoints
        self._signer = signer
        self._copies = copies
        self._open = 0
        self._visiting = asyncio.Lock()

    @property
    def is_full(self) -> bool:
        """Whether as many are open as may be: nobody opens another one."""
        return self._open >= MAX_OPEN

    @asynccontextmanager
    async def open(
        self,
        owner: Owner,
        connector: str | None = None,
        *,
        with_spine: bool = False,
        progress: Progress | None = None,
    ) -> AsyncIterator[Export]:
        """All that one connector brought, or all connectors; who opens it writes with `note` that it was taken.

        `with_spine`: and the owner's audit log, all of it, which makes no two exports the same. `progress` is told how
        far the plan has come.

        Records are seen at one moment. Takes room in the staging folder, some three times as much as the records'
        text, for as long as it is open. Raises `Unknown`, `NotExported`, `StorageUnavailable` (also where a blob that
        is named is not stored), `OutOfSpace`.
        """
        if self.is_full:
            raise NotExported("too many exports at once; try again later")
        self._open += 1
        try:
            async with pinned(self._blobs, owner.id):
                connectors = await self._registry.select(Scope.of_owner(owner), Selector(connector, None))
                async with self._planned(owner, connectors, with_spine, progress or Progress()) as export:
                    yield export
        finally:
            self._open -= 1

    async def note(self, owner: Owner, export: Export) -> None:
        """The owner takes the export away, or a part of it: on the spine, durable before the first byte goes."""
        facts = {"connectors": export.connectors, "bag": export.name, "bytes": export.size}
        await self._central.note(owner.id, spine.body("export", facts), times.now(), About())

    async def receipt(self, owner: Owner, export: Export) -> bytes:
        """A signed document: this server gave that bag away, and how far the owner's spine had come; after `note`."""
        said = {"kind": "export_receipt", "bag": export.name, "connectors": export.connectors}
        return jsontext.canonical(self._signer.sign({**said, **await self._checkpoints.members(owner)})) + b"\n"

    @asynccontextmanager
    async def _planned(
        self, owner: Owner, connectors: Mapping[str, Registration], with_spine: bool, progress: Progress
    ) -> AsyncIterator[Export]:
        submit = self._blobs.submit
        held = await self._copies.making(owner.id, connectors)
        try:
            contents = await to_the_end(submit(Contents, self._blobs.staging, owner.id))
        except BaseException:
            await held.release()
            raise
        reader = MemberReader(contents, self._blobs.backend)
        try:
            watch = await Watch.begin(self._central, owner, connectors)
            selected, progress.expected = await self._selected(owner, connectors)
            await self._plan(owner, selected, contents, with_spine, progress)
            await watch.ask()
            tar = await to_the_end(submit(Tar, contents, reader))
            export = Export(self._blobs, owner, connectors, contents, reader, tar, watch, selected, held)
            watching_it = asyncio.create_task(export.watch())
            try:
                yield export
            finally:
                watching_it.cancel()
                try:
                    await to_the_end(export.close())  # another task may be reading
                finally:
                    await asyncio.wait([watching_it])
        finally:
            reader.close()
            contents.close()
            await held.release()

    async def _selected(self, owner: Owner, connectors: Mapping[str, Registration]) -> tuple[Selected, int]:
        """What goes into the bag, and how many records that are."""
        instances = [each for each in await self._central.instances(owner.id) if each.connector in connectors]
        states: dict[Partition, bytes] = {}
        for each in instances:
            found, _ = await self._central.state(owner.id, each.connector, each.id)
            states |= {Partition(each.connector, each.id, stream): value for stream, value in found.items()}
        living = {(each.connector, each.id) for each in instances}
        stats = await stats_of(await self._engines.of(owner.id), connectors)
        await self._blobs.disk.require_room(ROOM * sum(of.bytes for of in stats.values()))
        filled = {place for place, of in stats.items() if of.records and (place.connector, place.instance) in living}
        return Selected(connectors, instances, states, frozenset(filled)), sum(stats[at].records for at in filled)

    async def _plan(
        self, owner: Owner, selected: Selected, contents: Contents, with_spine: bool, progress: Progress
    ) -> None:
        submit = self._blobs.submit
        plan = await to_the_end(submit(Plan, contents, selected, progress))
        engine = await self._engines.of(owner.id)
        async with self._visiting:  # a visit takes one of the few readers of its engine, for as long as it takes
            await to_the_end(engine.visit(selected.places, plan.see), plan.stop)
        for connector in selected.connectors:
            await self._claims(owner, connector, plan)
        await self._stored(owner, contents, plan)
        if with_spine:
            await self._spine(owner, contents, plan)
        await to_the_end(submit(plan.finish))

    async def _spine(self, owner: Owner, contents: Contents, plan: Plan) -> None:
        checkpoint = await self._checkpoints.newest(owner)
        after = 0
        with contents.text(layout.SPINE) as text:
            while after < checkpoint.seq:
                events = await self._central.spine(owner.id, after, min(PAGE, checkpoint.seq - after))
                await to_the_end(self._blobs.submit(plan.tell, text, events))
                after = events[-1].seq
        await to_the_end(self._blobs.submit(plan.whole, layout.CHECKPOINT, checkpoint.document))

    async def _claims(self, owner: Owner, connector: str, plan: Plan) -> None:
        after = None
        while page := await self._blobs.catalogue.claims_by(owner.id, connector, PAGE, after):
            # One that expired waits to be collected; one whose blob is gone is for `doctor` to tell of.
            live = await self._blobs.catalogue.live(owner.id, {each.digest for each in page})
            stored = {each.name.digest for each in live}
            good = [each for each in page if each.digest in stored and each.claim.expires_at > time.time()]
            await to_the_end(self._blobs.submit(plan.wait, good))
            after = page[-1].claim.slot, page[-1].digest

    async def _stored(self, owner: Owner, contents: Contents, plan: Plan) -> None:
        after: Digest | None = None
        while wanted := await to_the_end(self._blobs.submit(contents.wanted, after, PAGE)):
            found = await self._blobs.catalogue.live(owner.id, wanted)
            missing = sorted(set(wanted) - {stored.name.digest for stored in found})
            if missing:
                raise StorageUnavailable(
                    f"{missing[0]} is named and not stored: `blobstore doctor` tells what can be done"
                )
            await to_the_end(self._blobs.submit(plan.store, found))
            after = wanted[-1]
