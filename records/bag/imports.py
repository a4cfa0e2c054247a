"""Imports: a bag is looked at to the last byte before anything of it is stored, then takes the ways that all data take.

Blobs come in as uploads, records as an ingest, sync state and manifests as a collector brings them. An import that was
cut off is done again: what is there already stays as it is, so it goes on about where it was.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from blobstore.digest import Digest
from blobstore.store import BlobStore, Expected
from blobstore.threads import to_the_end
from records import times
from records.audit import spine
from records.bag import layout
from records.bag.archive import Archive
from records.bag.check import LONGEST, MAX_STATE, Checked, check
from records.bag.lines import AttachmentLine, Placed, StateLine, StreamLine, WaitingLine, read
from records.bag.survey import MAX_LINE, Survey
from records.central import About, Central, Instance, Owner
from records.consent.scope import Selector
from records.errors import BadBag, Conflict, Invalid
from records.manifest import connector_key, require_id
from records.registry import Registry
from records.slots import WHOLE_RECORD
from records.writing.attachments import Attachments, Target
from records.writing.ingest import Ingests
from records.writing.state import States

T = TypeVar("T")
A = ParamSpec("A")
P = TypeVar("P", bound=Placed)

LINES = 500
LINES_BYTES = 8 << 20
"""Records that are stored together, and bytes of them after which there are fewer."""

AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})

LIMIT = 1 << 40
"""Bytes of all files of a bag, unless told otherwise."""


@dataclass(slots=True)
class Imported:
    """What an import brought. `skipped` counts records and states of streams that no manifest declares any more."""

    connectors: list[str]
    records: int = 0
    blobs: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways that data take into a store."""

    blobs: BlobStore
    central: Central
    registry: Registry
    attachments: Attachments
    ingests: Ingests
    states: States


class CheckedBag:
    """A bag that was found good, and is still open. `close` it whatever happens."""

    def __init__(self, survey: Survey, found: Checked) -> None:
        self.survey = survey
        self.found = found

    @property
    def name(self) -> str:
        """As `Export.name`."""
        return layout.bag_name(self.survey.content(layout.TAG_MANIFESTS[0]))

    def close(self) -> None:
        """Give the room back; the archive is closed by whoever opened it. Harmless when called twice."""
        self.survey.close()


class Imports:
    """Checks bags and loads them."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways

    async def check(self, archive: Archive, limit: int = LIMIT) -> CheckedBag:
        """Read a bag to its end and look at everything in it; `close` what it gives back. Nothing is stored.

        Raises `BadBag`, `StorageUnavailable`, `OutOfSpace`.
        """
        survey = await to_the_end(self._ways.blobs.submit(Survey, archive, self._ways.blobs.staging))
        try:
            return CheckedBag(survey, await to_the_end(self._ways.blobs.submit(_checked, survey, limit), survey.stop))
        except BaseException:
            survey.close()
            raise

    async def load(
        self,
        owner: Owner,
        bag: CheckedBag,
        connector: str | None = None,
        renamed: Mapping[str, str] = AS_THEY_ARE,
    ) -> Imported:
        """Store what a checked bag holds, or one connector of it. Again is harmless.

        `renamed` are other names for instances of the bag: one that was erased here takes no writes any more.

        Raises `Conflict` before anything is stored: a connector is here with another manifest, or an instance is
        another connector's, was erased, or would be a second default. Raises `BadBag` where the archive is not any
        more what was checked, and what uploads and ingests raise: what came until then is stored, do it again.
        """
        found = bag.found
        chosen = sorted(found.manifests) if connector is None else [connector_key(connector)]
        if not found.manifests.keys() >= set(chosen):
            raise BadBag(f"there is no connector {connector!r} in it")
        names = {name: require_id(renamed.get(name, name), "instance") for name in found.instances}
        if len(set(names.values())) < len(names) or not names.keys() >= renamed.keys():
            raise Invalid("instances are renamed that are not in the bag, or two of it to the same")
        await self._require_place(owner, found, chosen, names)
        return await _Loading(self._ways, owner, bag, frozenset(chosen), names).run()

    async def _require_place(
        self, owner: Owner, found: Checked, chosen: Collection[str], names: Mapping[str, str]
    ) -> None:
        for key in chosen:
            there = await self._ways.central.connector(owner.id, key)
            if there is not None and there.erased_at is None and there.manifest != found.manifests[key]:
                raise Conflict(f"{key!r} is registered with another manifest; register the bag's first, or erase it")
        defaults = {each.connector: each.id for each in await self._ways.central.instances(owner.id) if each.is_default}
        for name, (key, default) in found.instances.items():
            if key not in chosen:
                continue
            instance = await self._ways.central.instance(owner.id, names[name])
            if instance is not None and (instance.connector != key or instance.erased_at is not None):
                raise Conflict(
                    f"the instance {names[name]!r} is another connector's here, or was erased, and takes no writes;"
                    " give it another name (--instance OLD=NEW)"
                )
            if default and defaults.get(key, names[name]) != names[name]:
                raise Conflict(f"{key!r} has another default instance here: {defaults[key]!r} (--instance OLD=NEW)")


class _Loading:
    """One bag on its way in."""

    def __init__(
        self, ways: Ways, owner: Owner, bag: CheckedBag, chosen: frozenset[str], names: Mapping[str, str]
    ) -> None:
        self._ways = ways
        self._owner = owner
        self._survey = bag.survey
        self._bag = bag
        self._chosen = chosen
        self._names = names
        self._imported = Imported(sorted(chosen), skipped=bag.found.skipped)

    async def run(self) -> Imported:
        await self._note("import.begin", {})
        await self._register()
        async for batch in self._lines(layout.ATTACHMENTS):
            await self._attach(self._read(batch, AttachmentLine))
        async for batch in self._lines(layout.STREAMS):
            for line in self._read(batch, StreamLine):
                await self._ingest(line)
        async for batch in self._lines(layout.STATES):
            for state in self._read(batch, StateLine):
                value = await to_the_end(self._submit(self._survey.whole, state.path, MAX_STATE))
                await self._ways.states.merge(self._owner, self._selector(state), {state.stream: value})
        async for batch in self._lines(layout.WAITING):
            for waiting in self._read(batch, WaitingLine):
                await self._upload(waiting, waiting.key, waiting.place, waiting.blob_id, waiting.media_type)
        counts = {"records": self._imported.records, "blobs": self._imported.blobs}
        await self._note("import", counts)
        return self._imported

    async def _register(self) -> None:
        """Manifests and instances, as they are not there yet."""
        found, central = self._bag.found, self._ways.central
        for key in self._imported.connectors:
            there = await central.connector(self._owner.id, key)
            if there is None or there.erased_at is not None:
                await self._ways.registry.register(self._owner, found.manifests[key])
        for name, (key, default) in found.instances.items():
            if key in self._chosen:
                await central.add_instance(self._owner.id, Instance(self._names[name], key, default, times.now(), None))

    async def _attach(self, lines: Sequence[AttachmentLine]) -> None:
        """Bytes that these lines name and their connector does not hold or claim yet."""
        wanted: defaultdict[str, dict[Digest, AttachmentLine]] = defaultdict(dict)
        for line in lines:
            wanted[line.connector].setdefault(Digest.parse(line.blob_id), line)
        for connector, named in wanted.items():
            catalogue = self._ways.blobs.catalogue
            held = await catalogue.hold(self._owner.id, connector, named.keys(), time.time())
            for digest in sorted(named.keys() - held.keys()):
                line = named[digest]
                await self._upload(line, line.key, line.pointer or WHOLE_RECORD, line.blob_id, line.media_type)

    async def _upload(self, line: Placed, key: str, place: str, blob_id: str, media: str) -> None:
        path = layout.blob(Digest.parse(blob_id))
        content = await to_the_end(self._submit(self._survey.content, path))
        receiving = await self._ways.attachments.receive(
            self._owner, Target(self._selector(line), line.stream, key, media, place), content.size
        )
        async with receiving as upload:
            pieces = self._survey.pieces(path)
            while piece := await to_the_end(self._submit(next, pieces, b"")):
                await upload.write(piece)
            await upload.finish(Expected(content.size, content.sha256, content.digest))
        self._imported.blobs += 1

    async def _ingest(self, line: StreamLine) -> None:
        ingest = await self._ways.ingests.begin(self._owner, line.stream, self._selector(line))
        async for batch in self._lines(line.path, LONGEST):
            await ingest.apply(batch)
            if ingest.rejections:
                first = ingest.rejections[0]
                raise Conflict(f"{line.path}: record {first.input_index + 1}: {first.message}; import again")
        self._imported.records += ingest.accepted

    async def _lines(self, path: str, limit: int = MAX_LINE) -> AsyncIterator[list[bytes]]:
        lines = self._survey.lines(path, limit)
        while batch := await to_the_end(self._submit(_take, lines)):
            yield batch

    def _read(self, batch: Sequence[bytes], kind: type[P]) -> list[P]:
        """The lines that are to be loaded; others are another connector's, or of a stream that nothing declares."""
        lines = [read(raw, kind) for raw in batch]
        mine = [line for line in lines if line.connector in self._chosen]
        return [line for line in mine if self._bag.found.declaration(line) is not None]

    def _selector(self, line: Placed) -> Selector:
        return Selector(line.connector, self._names[line.instance])

    async def _note(self, kind: str, counts: Mapping[str, int]) -> None:
        facts = {"bag": self._bag.name, "connectors": self._imported.connectors, **counts}
        await self._ways.central.note(self._owner.id, spine.body(kind, facts), times.now(), About())

    def _submit(self, call: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> asyncio.Future[T]:
        return self._ways.blobs.submit(call, *args, **kwargs)


def _take(lines: Iterator[bytes]) -> list[bytes]:
    """The next lines, up to `LINES`, or the one that takes them beyond `LINES_BYTES`."""
    taken: list[bytes] = []
    size = 0
    while len(taken) < LINES and size <= LINES_BYTES and (line := next(lines, None)) is not None:
        taken.append(line)
        size += len(line)
    return taken


def _checked(survey: Survey, limit: int) -> Checked:
    survey.read_all(limit)
    return check(survey)
