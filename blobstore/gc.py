"""Garbage collection: what nobody holds any more is planned, shown, then removed.

Two lanes over one engine. *Garbage* waits until it has been an orphan for a grace period; *erasure* does not wait.
Both condemn in one statement that looks for holders and claims again, then remove the bytes, then forget the row: a
crash between any two steps leaves a condemned row, and the next collection goes on from there. The work is
proportional to the garbage, never to the store.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

from blobstore.catalogue import Condemned, Lease, Orphan
from blobstore.digest import Digest
from blobstore.store import BlobStore

K = TypeVar("K")
V = TypeVar("V")

BATCH = 500
"""Blobs per statement and per call of the backend: small ticks, so that uploads and reads go on between them."""


class Links(Protocol):
    """What the layer above knows of links; whoever cannot answer raises, and nothing is released then."""

    async def recount(self, namespace: str, holder: str, digests: Collection[Digest]) -> set[Digest]:
        """Those of the digests that have no link in this holder, counted so that no hold made before can link later."""
        ...

    async def linked(self, namespace: str, digests: Collection[Digest]) -> dict[Digest, str]:
        """One holder that links each of the digests now; digests without any are left out."""
        ...

    async def let_go(self, limit: int) -> list[tuple[str, str, set[Digest]]]:
        """(namespace, holder, digests) that lost their last link and wait to be released."""
        ...

    async def notes(self, namespace: str, holder: str, digests: Collection[Digest]) -> list[int]:
        """What says now that these wait to be released: numbers, another one each time that a last link is lost."""
        ...

    async def released(self, namespace: str, notes: Collection[int]) -> None:
        """What these asked for was done; a link that was lost since has a note of its own."""
        ...


@dataclass(frozen=True, slots=True)
class Debris:
    """A staging file whose upload is over."""

    process: str
    lease: str
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection would remove: orphans since before `before` (UTC seconds), and debris.

    `lost` are orphans that a holder links although no row says so; they are held again instead.
    """

    before: float
    orphans: Sequence[Orphan]
    condemned: Sequence[Condemned]
    debris: Sequence[Debris]
    lost: Sequence[tuple[Orphan, str]] = ()

    @property
    def bytes(self) -> int:
        """What would be freed."""
        sizes = (orphan.stored.size for orphan in self.orphans)
        return sum(sizes) + sum(gone.size for gone in self.condemned) + sum(file.size for file in self.debris)


@dataclass(slots=True)
class Collected:
    """What a collection removed; sizes in bytes."""

    blobs: int = 0
    bytes: int = 0
    debris: int = 0
    digests: set[Digest] = field(default_factory=set)


class Collector:
    """Collects one store. Any number of collectors, in any number of processes, may run at once."""

    def __init__(self, store: BlobStore, links: Links) -> None:
        self._store = store
        self._catalogue = store.catalogue
        self._links = links

    async def collect(self, grace: float) -> Collected:
        """Prepare, plan and sweep until nothing is left; `grace` in seconds."""
        await self.prepare()
        total = Collected()
        while True:
            swept = await self.sweep(await self.plan(grace))
            total.blobs += swept.blobs
            total.bytes += swept.bytes
            total.debris += swept.debris
            if not (swept.blobs or swept.debris):
                return total

    async def prepare(self) -> None:
        """Make garbage visible: release what lost its last link, drop what expired, recount holds never confirmed."""
        while waiting := await self._links.let_go(BATCH):
            for namespace, holder, digests in waiting:
                await self.release(namespace, holder, digests)
        for (namespace, holder), rows in _grouped(
            ((namespace, row.holder), row.digest) for namespace, row in await self._catalogue.unconfirmed(BATCH)
        ):
            await self.release(namespace, holder, rows)
        leases = await self._catalogue.leases()
        dead = await asyncio.to_thread(self._store.staging.dead, {lease.process for lease in leases})
        await self._catalogue.expire(time.time(), dead)

    async def release(self, namespace: str, holder: str, digests: Collection[Digest]) -> None:
        """Rule P1: versions first, recount after: a hold in between keeps its row, a later link must hold again.

        Notes before both: what such a hold linked and lost again is noted once more, and waits for the next release.
        """
        notes = await self._links.notes(namespace, holder, digests)
        held = await self._catalogue.holders(namespace, holder, digests)
        if held:
            unlinked = await self._links.recount(namespace, holder, [row.digest for row in held])
            await self._catalogue.release(namespace, [row for row in held if row.digest in unlinked], time.time())
            linked = [(row.digest, ()) for row in held if row.digest not in unlinked]
            await self._catalogue.settle(namespace, holder, linked)
        if notes:
            await self._links.released(namespace, notes)

    async def plan(self, grace: float) -> Plan:
        """The next tick's work: at most `BATCH` of each kind."""
        before = time.time() - grace
        orphans = await self._catalogue.orphans(None, before, BATCH)
        linked: dict[tuple[str, Digest], str] = {}
        for namespace, digests in _grouped(map(_key, orphans)):
            holders = await self._links.linked(namespace, digests)
            linked |= {(namespace, digest): holder for digest, holder in holders.items()}
        return Plan(
            before=before,
            orphans=[each for each in orphans if _key(each) not in linked],
            condemned=await self._catalogue.condemned(BATCH),
            debris=await self._debris(),
            lost=[(each, linked[_key(each)]) for each in orphans if _key(each) in linked],
        )

    async def sweep(self, plan: Plan) -> Collected:
        """Remove what the plan names and is still garbage now."""
        for orphan, holder in plan.lost:
            await self._catalogue.rehold(orphan.stored.name.namespace, holder, [orphan.stored.name.digest])
        for namespace, digests in _grouped(map(_key, plan.orphans)):
            await self._catalogue.condemn(namespace, digests, "garbage", before=plan.before)
        collected = await self.remove_condemned()
        for file in plan.debris:
            await asyncio.to_thread(self._store.staging.remove, file.process, file.lease)
        collected.debris += len(plan.debris)
        for process in {file.process for file in plan.debris} | set(await asyncio.to_thread(self._store.staging.dead)):
            await asyncio.to_thread(self._store.staging.bury, process)
        return collected

    async def erase(self, namespace: str, digests: Collection[Digest], reason: str) -> Collected:
        """The erasure lane: remove those of the blobs that nobody holds any more, now."""
        for batch in _batches(digests):
            linked = await self._links.linked(namespace, batch)
            await self._catalogue.condemn(namespace, [each for each in batch if each not in linked], reason)
        return await self.remove_condemned(reason)

    async def remove_condemned(self, reason: str | None = None) -> Collected:
        """Remove the bytes of every condemned generation; counted are those condemned for `reason` (None: all)."""
        collected = Collected()
        while condemned := await self._catalogue.condemned(BATCH):
            for each in condemned:
                if each.process is not None:
                    # Staging file first: from then on its upload, should it still live, cannot publish any more.
                    await asyncio.to_thread(self._store.staging.remove, each.process, each.name.generation)
            names = [each.name for each in condemned]
            await asyncio.to_thread(self._store.backend.remove, names)
            await self._catalogue.buried(names, time.time())
            for each in condemned:
                if reason is None or each.reason == reason:
                    collected.blobs += 1
                    collected.bytes += each.size
                    collected.digests.add(each.name.digest)
        return collected

    async def drop_staged(self, leases: Sequence[Lease]) -> None:
        """Remove the staging files of uploads that were fenced off; their owners find out when they finish."""
        for lease in leases:
            await asyncio.to_thread(self._store.staging.remove, lease.process, lease.id)

    async def _debris(self) -> list[Debris]:
        # Files first, leases after: a lease is committed before its file is made.
        files = await asyncio.to_thread(lambda: list(islice(self._store.staging.files(), 10 * BATCH)))
        leases = {lease.id for lease in await self._catalogue.leases()}
        return [Debris(*file) for file in files if file[1] not in leases][:BATCH]


def _key(orphan: Orphan) -> tuple[str, Digest]:
    return orphan.stored.name.namespace, orphan.stored.name.digest


def _grouped(pairs: Iterable[tuple[K, V]]) -> list[tuple[K, list[V]]]:
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return list(groups.items())


def _batches(digests: Collection[Digest]) -> Iterable[list[Digest]]:
    remaining = iter(sorted(digests))
    while batch := list(islice(remaining, BATCH)):
        yield batch
