"""Ingest: batches of lines into records, each with the blobs that it links, durable when `apply` returns.

Hold before link (see `blobstore.catalogue`): the connector's release epoch is read, the blobs are held, then records
and links commit together; a release in between makes the engine refuse, and the batch holds again.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from blobstore.catalogue import Catalogue
from blobstore.digest import Digest
from blobstore.errors import StorageUnavailable
from records.audit import spine
from records.central import Owner
from records.consent.scope import Selector
from records.engine import Engine, Engines
from records.erasure.underway import Settled
from records.errors import Released
from records.history import Recorder
from records.keyring import Keyring
from records.model import Batch, Delete, Link, Outcome, Partition, Put
from records.pauses import Unpaused
from records.registry import Destination, Registry
from records.slots import WHOLE_RECORD, slot
from records.writing.lines import ParsedPut, Rejected, parse_line
from records.writing.links import BlobRef
from records.writing.room import Room
from records.writing.validation import Check, checker

MAX_REJECTIONS = 10_000
"""Rejections kept for the answer; the counts stay exact beyond it."""

MAX_MESSAGE = 500
"""Characters of a rejection's message that are kept: it may repeat names, and these may be megabytes long."""

INLINE = 4 << 10
"""Bytes of lines that take less time to read than to hand to a thread and back."""

RETRIES = 20
"""Times that one batch holds again; each time some release was in between, so somebody gets on."""


@dataclass(frozen=True, slots=True)
class LineRejection:
    """A line that was refused for good; `input_index` counts lines that are not blank from 0."""

    input_index: int
    code: str
    message: str
    key: str | None


@dataclass(slots=True)
class Parsed:
    """One batch after parsing: mutations with the index of their line."""

    mutations: list[tuple[int, ParsedPut | Delete]] = field(default_factory=list)
    rejected: list[LineRejection] = field(default_factory=list)


class Ingests:
    """Begins ingests; `validate` holds records against the schemas of their streams."""

    def __init__(
        self,
        registry: Registry,
        engines: Engines,
        catalogue: Catalogue,
        keyring: Keyring,
        room: Room,
        settled: Settled,
        unpaused: Unpaused,
        *,
        validate: bool = False,
    ) -> None:
        self._registry = registry
        self._engines = engines
        self._catalogue = catalogue
        self._keyring = keyring
        self._room = room
        self._settled = settled
        self._unpaused = unpaused
        self._validate = validate

    async def begin(self, owner: Owner, stream: str, selector: Selector) -> "Ingest":
        """Resolve where the lines go. Raises `Invalid`, `Unknown`, `Ambiguous`, `StorageUnavailable`."""
        destination = await self._registry.destination(owner, stream, selector)
        partition = Partition(destination.registration.key, destination.instance.id, stream)
        await self._settled(owner, partition)
        engine = await self._engines.of(owner.id)
        epoch = await engine.epoch(partition)
        await self._unpaused(owner, partition.connector)
        # After the epoch is read: an erasure that marks the instance later raises it later, too.
        await self._registry.require_living(owner, destination.instance)
        recorder = self._keyring.recorder(owner.id, destination.declaration.consent_time_field)
        check = await asyncio.to_thread(checker, destination.declaration) if self._validate else None
        return Ingest(owner, destination, engine, self._catalogue, self._room, epoch, recorder, check)


class Ingest:
    """One request's lines. Not to be used by two tasks at once."""

    def __init__(
        self,
        owner: Owner,
        destination: Destination,
        engine: Engine,
        catalogue: Catalogue,
        room: Room,
        epoch: int,
        recorder: Recorder,
        check: Check | None,
    ) -> None:
        self._owner = owner
        self._declaration = destination.declaration
        self._holder = destination.registration.key
        self._partition = Partition(self._holder, destination.instance.id, destination.declaration.name)
        self._engine = engine
        self._catalogue = catalogue
        self._room = room
        self._epoch = epoch
        self._recorder = recorder
        self._check = check
        self.attempted = 0
        self.accepted = 0
        self.rejected = 0
        self.rejections: list[LineRejection] = []

    async def apply(self, lines: Sequence[bytes]) -> None:
        """Store one batch (some hundred lines): the good ones are durable when this returns, the others noted.

        Raises `Conflict` when an erasure came in between, `OverQuota` or another `OutOfSpace` where there is no room
        for what its records hold (as if none of them was there already), `StorageUnavailable`; nothing of the batch
        is kept then.
        """
        if sum(map(len, lines)) <= INLINE:
            parsed = self._parse(lines, self.attempted)
        else:
            parsed = await asyncio.to_thread(self._parse, lines, self.attempted)
        size = sum(len(each.data) for _, each in parsed.mutations if isinstance(each, ParsedPut))
        await self._room.require(self._owner.id, self._holder, size)
        accepted = await self._store(parsed)
        self.attempted += len(lines)
        self.accepted += accepted
        self.rejected += len(parsed.rejected)
        parsed.rejected.sort(key=lambda rejection: rejection.input_index)
        self.rejections += parsed.rejected[: MAX_REJECTIONS - len(self.rejections)]

    def _parse(self, lines: Sequence[bytes], first: int) -> Parsed:
        parsed = Parsed()
        for index, raw in enumerate(lines, first):
            try:
                parsed.mutations.append((index, parse_line(raw, self._declaration, self._check)))
            except Rejected as error:
                parsed.rejected.append(LineRejection(index, error.code, error.message[:MAX_MESSAGE], error.key))
        return parsed

    async def _store(self, parsed: Parsed) -> int:
        refs = [ref for _, each in parsed.mutations if isinstance(each, ParsedPut) for ref in each.refs]
        resolved = await self._resolve(refs)
        for _ in range(RETRIES):
            release_epoch = await self._engine.release_epoch(self._holder) if refs else None
            wanted = set(resolved.values())
            sizes = await self._catalogue.hold(self._owner.id, self._holder, wanted, time.time()) if wanted else {}
            held = {blob_id: (digest, sizes[digest]) for blob_id, digest in resolved.items() if digest in sizes}
            rejected: list[LineRejection] = []
            mutations = [
                mutation
                for index, each in parsed.mutations
                if (mutation := _linked(each, held, index, rejected)) is not None
            ]
            try:
                outcomes = await self._engine.apply(self._batch(mutations, release_epoch))
            except Released:
                continue
            parsed.rejected += rejected
            await self._settle(mutations, outcomes)
            return len(mutations)
        raise StorageUnavailable("blobs are being released all the time; send the batch again")

    async def _resolve(self, refs: Sequence[BlobRef]) -> dict[str, Digest]:
        """The digest of each blob id; an alias that names no blob here has none."""
        resolved = {ref.blob_id: ref.digest for ref in refs}
        for ref in refs:
            if ref.sha256 is not None and resolved[ref.blob_id] is None:
                stored = await self._catalogue.find_sha256(self._owner.id, ref.sha256)
                resolved[ref.blob_id] = None if stored is None else stored.name.digest
        return {blob_id: digest for blob_id, digest in resolved.items() if digest is not None}

    def _batch(self, mutations: Sequence[Put | Delete], release_epoch: int | None) -> Batch:
        event = spine.body(
            "records.ingest",
            {
                "connector": self._partition.connector,
                "instance": self._partition.instance,
                "stream": self._partition.stream,
                "puts": sum(isinstance(each, Put) for each in mutations),
                "deletes": sum(isinstance(each, Delete) for each in mutations),
            },
        )
        stream = self._declaration
        return Batch(
            self._partition,
            mutations,
            self._epoch,
            release_epoch,
            stream.append_only,
            event,
            self._recorder,
            stream.fields,
        )

    async def _settle(self, mutations: Sequence[Put | Delete], outcomes: Sequence[Outcome]) -> None:
        """Tell the catalogue which links were committed: their claims are fulfilled."""
        fulfilled = {Outcome.CREATED, Outcome.UPDATED}
        if not self._declaration.append_only:
            fulfilled.add(Outcome.UNCHANGED)
        links = [
            (link.digest, [self._slot(put.key, WHOLE_RECORD), self._slot(put.key, link.pointer)])
            for put, outcome in zip(mutations, outcomes, strict=True)
            if isinstance(put, Put) and outcome in fulfilled
            for link in put.links
        ]
        if links:
            await self._catalogue.settle(self._owner.id, self._holder, links)

    def _slot(self, key: str, place: str) -> str:
        return slot(self._partition.instance, self._partition.stream, key, place)


def _linked(
    parsed: ParsedPut | Delete, held: Mapping[str, tuple[Digest, int]], index: int, rejected: list[LineRejection]
) -> Put | Delete | None:
    """The mutation with its links; None, and a rejection, where it names a blob that its connector does not hold."""
    if isinstance(parsed, Delete):
        return parsed
    links: list[Link] = []
    for ref in parsed.refs:
        found = held.get(ref.blob_id)
        if found is None:
            message = f"the blob at {ref.pointer} is not stored for this connector: upload its bytes first"
            rejected.append(LineRejection(index, "blob_not_stored", message[:MAX_MESSAGE], parsed.key))
            return None
        links.append(ref.link(*found))
    return parsed.put(tuple(links))
