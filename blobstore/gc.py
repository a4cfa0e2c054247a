"""Garbage collection: what nobody holds any more is planned, shown, then removed.

Two lanes over one engine. *Garbage* waits until it has been an orphan for a grace period, and a fuse stops it where
it looks wrong; *erasure* does not wait. Both condemn in one statement that looks for holders and claims again, then
remove the bytes, then forget the row: a crash between any two steps leaves a condemned row, and the next collection
goes on from there. The work is proportional to the garbage, never to the store.

Bytes of an upload that was cut off may come under its name after they were removed, where the backend says so: its row
stays until they do not come any more, and each collection until then removes them again.
"""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

from blobstore.backend import ObjectName
from blobstore.catalogue import Condemned, Lease, Orphan, Removal
from blobstore.digest import Digest
from blobstore.errors import StorageUnavailable
from blobstore.fuse import Fuse
from blobstore.place import MOVED
from blobstore.store import DONE_SECONDS, BlobStore

K = TypeVar("K")
V = TypeVar("V")

BATCH = 500
"""Blobs per statement and per call of the backend: small steps, so that uploads and reads go on between them."""

LEFT_SECONDS = 600.0
"""So long a place is known after it ceased to be the intake: longer than a transaction that still saw it as one."""

PASSES = 20
"""Batches of holds without a link that one collection looks at: busy writers hold again as fast as it releases."""


class Links(Protocol):
    """What the layer above knows of links; whoever cannot answer raises, and nothing is released then."""

    async def recount(self, namespace: str, holder: str, digests: Collection[Digest]) -> set[Digest]:
        """Those of the digests that have no link in this holder, counted so that no hold made before can link later."""
        ...

    async def linked(self, namespace: str, digests: Collection[Digest]) -> dict[Digest, str]:
        """One holder that links each of the digests now; digests without any are left out."""
        ...

    def let_go(self, namespace: str | None, limit: int) -> AsyncIterator[tuple[str, str, set[Digest]]]:
        """(namespace, holder, digests) that lost their last link and wait to be released, at most `limit` at a time.

        Of one namespace or of all. What is given must be released before more is asked for.
        """
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
    """A part of what a collection would remove: orphans since before a time, with those that a holder links after all.

    `lost` are orphans that a holder links although no row says so; they are held again instead.
    """

    orphans: Sequence[Orphan]
    lost: Sequence[tuple[Orphan, str]] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a collection is about: what has been an orphan for `grace` seconds, of one namespace or of all.

    It ends early once it has removed `blobs` blobs or worked for `seconds`; the next one goes on from there.
    """

    grace: float
    namespace: str | None = None
    fuse: Fuse = field(default_factory=Fuse)
    blobs: float = math.inf
    seconds: float = math.inf


@dataclass(slots=True)
class Collected:
    """What a collection removed; sizes in bytes. `expired`: claims and leases; `finished`: it did not end early.

    `copies` are those that moves left behind, or made in vain: they are no blobs, for these live elsewhere.

    `digests` are those of an erasure; a collection tells of its blobs as it goes.
    """

    id: str = ""
    blobs: int = 0
    bytes: int = 0
    debris: int = 0
    copies: int = 0
    expired: int = 0
    finished: bool = True
    digests: set[Digest] = field(default_factory=set)


Event = Callable[[Removal], bytes | None]
"""What the audit log above says of a removal; None: nothing."""

Told = Callable[[Sequence[Condemned]], None]
"""Hears of blobs once they are gone."""


class Collector:
    """Collects one store. Any number of collectors, in any number of processes, may run at once."""

    def __init__(self, store: BlobStore, links: Links, event: Event | None = None) -> None:
        self._store = store
        self._catalogue = store.catalogue
        self._links = links
        self._event = event

    # -- the garbage lane ------------------------------------------------------------------------------------------

    async def collect(self, wanted: Wanted, told: Told | None = None) -> Collected:
        """Prepare, plan and sweep what is wanted.

        Raises `WrongStore` and `FuseBlown`, before anything is removed, and what engine, catalogue, staging or backend
        raise when they do not answer. Orphans that are made meanwhile wait for the next collection: nothing is removed
        that the fuse did not see.
        """
        started, started_at = time.monotonic(), time.time()
        collected = Collected("col_" + secrets.token_hex(12))
        await self._catalogue.leave_places(started_at - LEFT_SECONDS)
        await self._store.require_own()
        collected.expired = await self.prepare(wanted.namespace)
        before = await self.check_fuse(wanted)
        collected.finished = await self._sweep(wanted, before, started + wanted.seconds, collected, told)
        if wanted.namespace is None:
            collected.debris += await self._clear_staging()
        return collected

    async def prepare(self, namespace: str | None = None) -> int:
        """Make garbage visible: release what lost its last link, drop what expired, recount holds never confirmed.

        How many claims and leases went.
        """
        async for where, holder, digests in self._links.let_go(namespace, BATCH):
            await self.release(where, holder, digests)
        for _ in range(PASSES):
            rows = await self._catalogue.unconfirmed(BATCH)
            for (where, holder), found in _grouped(((each, row.holder), row.digest) for each, row in rows):
                with suppress(StorageUnavailable):  # it goes on holding, and the others' garbage does not wait for it
                    await self.release(where, holder, found)
            if len(rows) < BATCH:
                break
        named = {lease.process for lease in await self._catalogue.leases()}
        named |= {pin.process for pin in await self._catalogue.pins()}
        dead = await asyncio.to_thread(self._store.staging.dead, named)
        return await self._expire(dead)

    async def release(self, namespace: str, holder: str, digests: Collection[Digest]) -> None:
        """Rule P1: versions first, recount after: a hold in between keeps its row, a later link must hold again.

        Notes before both: what such a hold linked and lost again is noted once more, and waits for the next release.
        """
        notes = await self._links.notes(namespace, holder, digests)
        held = await self._catalogue.holders(namespace, holder, digests)
        if held:
            unlinked = await self._links.recount(namespace, holder, [row.digest for row in held])
            await self._catalogue.release(namespace, [row for row in held if row.digest in unlinked], time.time())
            if linked := [(row.digest, ()) for row in held if row.digest not in unlinked]:
                await self._catalogue.settle(namespace, holder, linked)
        if notes:
            await self._links.released(namespace, notes)

    async def tidy(self) -> int:
        """Remove what uploads that are over left on this machine, whichever of its processes had them; how many files.

        Much the same as a collection does there: for machines that none is carried out on. Costs little where there is
        nothing of that kind.
        """
        if dead := await asyncio.to_thread(self._store.staging.dead):
            await self._expire(dead)
        return await self._clear_staging()

    async def check_fuse(self, wanted: Wanted) -> float:
        """Since before when (UTC seconds) what goes has been an orphan. Raises `FuseBlown` where it is too much."""
        before = time.time() - wanted.grace
        wanted.fuse.check(await self._catalogue.forecast(wanted.namespace, before))
        return before

    async def plans(self, wanted: Wanted) -> AsyncIterator[Plan]:
        """All that a collection would remove now, in parts; changes nothing."""
        before = time.time() - wanted.grace
        after: Orphan | None = None
        while page := await self._catalogue.orphans(wanted.namespace, before, BATCH, after):
            yield await self._judge(page)
            after = page[-1]

    async def debris(self) -> AsyncIterator[Debris]:
        """Staging files whose uploads are over."""
        # Files first, leases after: a lease is committed before its file is made.
        files = iter(await asyncio.to_thread(lambda: list(self._store.staging.files())))
        while some := list(islice(files, BATCH)):
            leases = {lease.id for lease in await self._catalogue.leases([lease for _, lease, _ in some])}
            for process, lease, size in some:
                if lease not in leases:
                    yield Debris(process, lease, size)

    async def _expire(self, dead: Collection[str]) -> int:
        expired = 0
        while ended := await self._catalogue.expire(time.time(), dead, BATCH):
            expired += ended
        return expired

    async def _judge(self, page: Sequence[Orphan]) -> Plan:
        """Ask the engines whether they link any of these after all."""
        linked: dict[tuple[str, Digest], str] = {}
        for namespace, digests in _grouped(map(_key, page)):
            holders = await self._links.linked(namespace, digests)
            linked |= {(namespace, digest): holder for digest, holder in holders.items()}
        return Plan(
            [each for each in page if _key(each) not in linked],
            [(each, linked[_key(each)]) for each in page if _key(each) in linked],
        )

    async def _condemn(self, plan: Plan, reason: str, before: float) -> None:
        """Condemn what the plan names and is still garbage now."""
        for orphan, holder in plan.lost:
            await self._catalogue.rehold(orphan.stored.name.namespace, holder, [orphan.stored.name.digest])
        for namespace, digests in _grouped(map(_key, plan.orphans)):
            await self._catalogue.condemn(namespace, digests, reason, before=before)

    async def _sweep(
        self, wanted: Wanted, before: float, until: float, collected: Collected, told: Told | None
    ) -> bool:
        """Condemn garbage and remove what is condemned, whoever condemned it; False when it ended early.

        While the bytes of one batch go, the rows of the one before are forgotten, and the next one is condemned: of
        backend and catalogue neither waits for the other.
        """
        after: Orphan | None = None
        last: Condemned | None = None
        going: Sequence[ObjectName] = ()  # their bytes went, their rows are there
        while True:
            early = collected.blobs + len(going) >= wanted.blobs or time.monotonic() >= until
            batch = [] if early else await self._catalogue.condemned(BATCH, last)
            last = batch[-1] if batch else last
            removing = self._remove_bytes(batch) if batch else None
            try:
                _count(await self._bury(going), collected, wanted.namespace, told)
                more = not early and collected.blobs + len(batch) < wanted.blobs
                if page := await self._catalogue.orphans(wanted.namespace, before, BATCH, after) if more else []:
                    after = page[-1]
                    await self._condemn(await self._judge(page), f"garbage {collected.id}", before)
                going = await removing if removing is not None else ()
            except BaseException:
                if removing is not None and not removing.cancel():
                    removing.exception()  # what failed first is told
                raise
            if not (batch or page):
                return not early

    async def _clear_staging(self) -> int:
        staging = self._store.staging
        files = [each async for each in self.debris()]

        def clear() -> None:
            for file in files:
                staging.remove(file.process, file.lease)
            staging.forget(time.time() - DONE_SECONDS)
            for process in staging.dead():
                staging.bury(process)

        await asyncio.to_thread(clear)
        return len(files)

    # -- the erasure lane ------------------------------------------------------------------------------------------

    async def erase(self, namespace: str, digests: Collection[Digest], reason: str) -> Collected:
        """The erasure lane: remove those of the blobs that nobody holds any more, now."""
        for batch in _batches(digests):
            linked = await self._links.linked(namespace, batch)
            await self._catalogue.condemn(namespace, [each for each in batch if each not in linked], reason)
        return await self.remove_condemned(reason)

    async def remove_condemned(self, reason: str | None = None) -> Collected:
        """Remove the bytes of every condemned generation; counted are those condemned for `reason` (None: all)."""
        collected = Collected()
        after: Condemned | None = None
        while condemned := await self._catalogue.condemned(BATCH, after):
            after = condemned[-1]
            await self._remove(condemned)
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

    async def _remove(self, condemned: Sequence[Condemned]) -> None:
        """Bytes first, rows after."""
        await self._bury(await self._remove_bytes(condemned))

    def _remove_bytes(self, condemned: Sequence[Condemned]) -> asyncio.Future[list[ObjectName]]:
        """Those whose rows may go now. The rows of what may come late stay: who comes after removes it again."""
        backend = self._store.backend

        def remove() -> list[ObjectName]:
            now = time.time()
            for each in condemned:
                if each.process is not None:
                    # Staging file first: from then on its upload, should it still live, cannot publish any more.
                    self._store.staging.remove(each.process, each.name.generation)
            backend.remove([each.name for each in condemned])
            late = {each.name for each in condemned if each.late_until is not None and each.late_until > now}
            return [each.name for each in condemned if each.name not in late or not backend.comes_late(each.name)]

        return self._store.ask(remove)

    async def _bury(self, gone: Sequence[ObjectName]) -> list[Condemned]:
        """Those whose rows went here and not in another process, which removed the same."""
        buried = await self._catalogue.buried(gone, time.time(), self._event) if gone else []
        for each in buried:
            self._store.tally.remove(each.reason, each.size)
        return buried


def _count(gone: Sequence[Condemned], collected: Collected, namespace: str | None, told: Told | None) -> None:
    collected.copies += sum(each.reason == MOVED for each in gone)
    mine = [each for each in gone if namespace in (None, each.name.namespace) and each.reason != MOVED]
    collected.blobs += len(mine)
    collected.bytes += sum(each.size for each in mine)
    if mine and told is not None:
        told(mine)


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
