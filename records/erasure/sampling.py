"""Samples of what an erasure is about to take: short pieces that can be told from anything else, chosen by a secret.

The choice depends on a key of the erasure's own, so that nobody knows beforehand what will be looked for. How much work
it is does not depend on how much there is: some records of each partition, some blobs, some claims, the sync state.
"""

import random
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from blobstore.catalogue import ClaimedBlob
from blobstore.digest import PREFIX, SHA256_PREFIX, Digest
from blobstore.errors import BlobNotFound, ContentMismatch
from blobstore.store import BlobStore
from blobstore.traces import LONGEST, SHORTEST, Traces, is_distinctive
from records.central import Central
from records.engine import Engine
from records.errors import SourceDown
from records.model import Partition, PartitionStats, Target
from records.slots import parse
from records.thumbnails.formats import THUMBNAIL

RECORDS, VALUES = 96, 3
"""Records that are looked into, and texts that are taken from one of them."""

BLOBS, WINDOWS = 48, 2
"""Blobs, and windows of each."""

CLAIMS, TEXTS = 16, 48
"""Claims whose slots are taken, and texts of everything else (sync state, what the caller brings)."""

MOST = 512
"""Samples of one erasure, however much goes."""

MAX_BYTES = 16 << 20
"""Bytes of records that are looked into, but for the last one."""

_LOOKS = 200
"""Claims, and links of a blob, that are looked at."""

_SHORT = 8
_DIGESTS = (PREFIX.encode(), SHA256_PREFIX.encode())
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?')


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """Some bytes that must be nowhere afterwards; of a blob: unless the blob stays."""

    text: bytes
    blob: str | None = None


@dataclass(frozen=True, slots=True)
class Going:
    """What goes of a connector: all of these instances (None: of all), or one stream of them, or one record."""

    connector: str
    instances: Sequence[str] | None = None
    stream: str | None = None
    key: str | None = None

    def covers(self, place: Partition, key: str | None = None) -> bool:
        """Whether this place, or the record with the key in it, is among what goes."""
        return (
            place.connector == self.connector
            and (self.instances is None or place.instance in self.instances)
            and self.stream in (None, place.stream)
            and (self.key is None or key is None or self.key == key)
        )


class Sampler:
    """Takes samples of what one owner has."""

    def __init__(self, owner: str, engine: Engine, blobs: BlobStore, central: Central, key: bytes) -> None:
        self._owner = owner
        self._engine = engine
        self._blobs = blobs
        self._central = central
        self._rng = random.Random(key)  # noqa: S311 - it chooses, and hides nothing

    async def take(self, going: Sequence[Going], texts: Iterable[bytes] = ()) -> list[Sample]:
        """Samples of all that goes, and of other `texts` of it; `MOST` at most."""
        taken = dict[bytes, Sample]()
        others = list(texts)
        for each in going:
            async for sample in self._of(each):
                taken.setdefault(sample.text, sample)
            others += [text async for text in self._states(each)]
        for text in self._some(self._values(others), TEXTS):
            taken.setdefault(text, Sample(text))
        named = await self._named(list(taken), {each.connector for each in going})
        kept = [sample for sample in taken.values() if sample.text not in named]
        return self._rng.sample(kept, min(MOST, len(kept)))

    async def _named(self, pieces: Sequence[bytes], connectors: Iterable[str]) -> set[bytes]:
        """Those that are part of a name which stays: events name connectors, instances, streams, clients, fields."""
        owner, central = self._owner, self._central
        places = [place for connector in sorted(connectors) for place in await self._engine.stats(connector)]
        with suppress(SourceDown):  # names in what cannot be read are known from the manifests, mostly
            places += await self._engine.stats()
        names = {name for place in places for name in (place.connector, place.instance, place.stream)}
        names |= {connector.id for connector in await central.connectors(owner)}
        names |= {name for each in await central.instances(owner) for name in (each.id, each.connector)}
        texts = [name.encode() for name in names] + [grant.document for grant in await central.grants(owner)]
        traces = Traces(pieces, every=True)
        return {pieces[number] for text in texts for _, number in traces.in_text(text)}

    async def _of(self, going: Going) -> AsyncIterator[Sample]:
        for data in await self._records(going):
            for text in self._some(self._values([data]), VALUES):
                yield Sample(text)
        async for text in self._claims(going):
            yield Sample(text)
        for digest in await self._chosen(going):
            async for window in self._windows(digest):
                yield Sample(window, digest.hex)
            # What was made of it is sealed: nothing shows it, once nothing shows the key.
            if (derived := await self._blobs.catalogue.derived(self._owner, digest, THUMBNAIL)) is not None:
                yield Sample(derived.key, digest.hex)

    # -- records ---------------------------------------------------------------------------------------------------

    async def _records(self, going: Going) -> list[bytes]:
        stats = await self._engine.stats(going.connector)
        there = {place: of for place, of in stats.items() if of.records and going.covers(place)}
        if going.key is not None:
            return [each.data for each in await self._engine.get(list(there), [going.key], max_bytes=MAX_BYTES)]
        total = sum(of.records for of in there.values())
        found: list[bytes] = []
        for place, of in there.items():
            left = MAX_BYTES - sum(map(len, found))
            if left > 0:
                versions = self._versions(of, -(-RECORDS * of.records // total))
                found += [each.data for each in await self._engine.sample(place, versions, max_bytes=left)]
        return found

    def _versions(self, of: PartitionStats, count: int) -> set[int]:
        return {self._rng.randint(1, of.version) for _ in range(count)}

    def _values(self, texts: Iterable[bytes]) -> Iterator[bytes]:
        """Pieces of the long strings in JSON texts; where there is none, short ones with what is beside them.

        Names of members are left out, and those of blobs: the audit log has them, and they are digests.
        """
        for text in texts:
            values = (found for found in _STRING.finditer(text) if not found[2])
            spans = [found.span(1) for found in values if not found[1].startswith(_DIGESTS)]
            long = [(start, end) for start, end in spans if end - start >= SHORTEST]
            for start, end in long or spans or [(0, len(text))]:
                if end - start >= _SHORT and is_distinctive(piece := self._piece(text, start, end)):
                    yield piece

    def _piece(self, text: bytes, start: int, end: int) -> bytes:
        if end - start > LONGEST:
            start = self._rng.randint(start, end - LONGEST)
            end = start + LONGEST
        missing = max(SHORTEST - (end - start), 0)
        start = max(start - missing // 2, 0)
        return text[start : max(end, start + SHORTEST)]

    def _some(self, pieces: Iterable[bytes], count: int) -> list[bytes]:
        # Sorted: the choice is the key's, not the order of a set's.
        known = sorted(set(pieces))
        return self._rng.sample(known, min(count, len(known)))

    # -- what else there is ----------------------------------------------------------------------------------------

    async def _states(self, going: Going) -> AsyncIterator[bytes]:
        if going.key is not None:
            return
        grants = [None, *(grant.id for grant in await self._central.grants(self._owner))]
        instances = going.instances
        if instances is None:
            instances = [each.id for each in await self._central.instances(self._owner, going.connector)]
        for instance in instances:
            for grant in grants:
                state, _ = await self._central.state(self._owner, going.connector, instance, grant)
                for stream, value in state.items():
                    if going.stream in (None, stream):
                        yield value

    async def _claims(self, going: Going) -> AsyncIterator[bytes]:
        slots = [claimed.claim.slot.encode() for claimed in await self._claimed(going)]
        for slot in self._rng.sample(slots, min(CLAIMS, len(slots))):
            # The last two of its strings: the key, and where in the record.
            spans = [found.span(1) for found in _STRING.finditer(slot)][-2:]
            if spans and is_distinctive(piece := self._piece(slot, spans[0][0], len(slot))):
                yield piece

    async def _claimed(self, going: Going) -> list[ClaimedBlob]:
        found = await self._blobs.catalogue.claims_by(self._owner, going.connector, _LOOKS, None)
        return [claimed for claimed in found if _is_of(going, claimed)]

    # -- blobs -----------------------------------------------------------------------------------------------------

    async def _chosen(self, going: Going) -> list[Digest]:
        """Some of the blobs that lose a link or a claim, and some that lost their last one before."""
        claimed = sorted({each.digest for each in await self._claimed(going)})
        found = set(self._rng.sample(claimed, min(CLAIMS, len(claimed))))
        found |= set(await self._blobs.catalogue.former(self._owner, going.connector, None, CLAIMS))
        if going.key is not None:
            for place in await self._engine.stats(going.connector):
                if going.covers(place):
                    found |= {each.link.digest for each in await self._engine.links_in(place, going.key)}
        else:
            found |= {digest for digest in await self._linked(going.connector) if await self._goes(going, digest)}
        some = sorted(found)
        return self._rng.sample(some, min(BLOBS, len(some)))

    async def _linked(self, connector: str) -> set[Digest]:
        """All blobs that the connector links where they are few, else those beyond random digests."""
        first = await self._engine.linked(connector, None, BLOBS)
        found = {digest for digest, _ in first}
        if len(first) == BLOBS:
            found = set()
            for _ in range(BLOBS):  # digests are spread evenly
                beyond = Digest(self._rng.randbytes(32).hex())
                found |= {digest for digest, _ in await self._engine.linked(connector, beyond, 1)}
        return found

    async def _goes(self, going: Going, digest: Digest) -> bool:
        return any(
            going.covers(each.partition) for each in await self._engine.linking(Target(going.connector), [digest])
        )

    async def _windows(self, digest: Digest) -> AsyncIterator[bytes]:
        stored = await self._blobs.catalogue.find(self._owner, digest)
        if stored is None or stored.size < SHORTEST:
            return
        try:
            async with await self._blobs.open_stored(stored) as blob:
                for _ in range(WINDOWS):
                    start = self._rng.randint(0, max(stored.size - LONGEST, 0))
                    if is_distinctive(window := await blob.read(start, LONGEST)):
                        yield window
        except (BlobNotFound, ContentMismatch):
            return  # its bytes were lost before; `doctor` says so


def _is_of(going: Going, claimed: ClaimedBlob) -> bool:
    instance, stream, key, _ = parse(claimed.claim.slot)
    return going.covers(Partition(going.connector, instance, stream), key)
