"""The catalogue in memory: the contract of `blobstore.catalogue` in its shortest form.

Each method is atomic because it never awaits; none is durable. (Longer than our files are: the port has forty methods,
and that all of them share one plain state is what keeps each of them short.)
"""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import (
    CatalogueEvent,
    Claim,
    ClaimedBlob,
    Condemned,
    Forecast,
    Gone,
    Holder,
    Lease,
    Numbering,
    Orphan,
    Pin,
    Removal,
    Share,
    Standing,
    State,
    Stored,
    Totals,
    removals,
)
from blobstore.derived import MOST, Derived
from blobstore.digest import Content, Digest
from blobstore.errors import LeaseLost
from blobstore.place import FIRST, MOVED, Contents, Place
from blobstore.quota import EVERY, NOTHING_BESIDE, WHOLE, Beside, Limit, Volume, require_possible, require_room

Blob = tuple[str, Digest]
"""Namespace and digest: what is held and claimed, whatever its generations."""


@dataclass(slots=True)
class _Generation:
    stored: Stored
    orphaned_at: float | None = None
    reason: str = ""
    order: int = 0
    process: str | None = None
    uploader: str | None = None


class MemoryCatalogue:
    """Adapter of `blobstore.catalogue.Catalogue`."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(16)
        self._counter = 0
        self._leases: dict[str, Lease] = {}
        self._generations: dict[ObjectName, _Generation] = {}
        self._holders: dict[tuple[Blob, str], Holder] = {}
        self._claims: dict[tuple[Blob, str, str], Claim] = {}
        self._former: set[tuple[Blob, str]] = set()
        self._gone: dict[ObjectName, Gone] = {}
        self._outbox: list[CatalogueEvent] = []
        self._pins: dict[str, Pin] = {}
        self._derived: dict[tuple[Blob, str], Derived] = {}  # the oldest first
        self._last_event = 0
        self._limits: dict[tuple[str, str], Limit] = {}
        self._places: dict[int, Place] = {}
        self._left_at: dict[int, float] = {}

    async def store_id(self) -> str:
        return self._id

    # -- uploads ---------------------------------------------------------------------------------------------------

    async def lease(self, lease: Lease, beside: Beside = NOTHING_BESIDE) -> int:
        await self._require_room(lease, lease.reserved, lease.reserved, beside)
        self._leases[lease.id] = replace(lease, content=None)
        return await self.reserved()

    async def reserve(self, lease: Lease, size: int, beside: Beside = NOTHING_BESIDE) -> None:
        mine = self._lease(lease)
        await self._require_room(lease, size, size - mine.reserved, beside)
        self._leases[lease.id] = replace(mine, reserved=size)

    async def renew(self, process: str, expires_at: float) -> None:
        for lease in self._leases.values():
            if lease.process == process:
                self._leases[lease.id] = replace(lease, expires_at=expires_at)
        for each in self._generations.values():
            if each.process == process:
                each.stored = replace(each.stored, late_until=expires_at + LATE_SECONDS)

    async def adopt(
        self, lease: Lease, content: Content, claim: Claim, event: bytes | None = None
    ) -> Stored | ObjectName:
        mine = self._lease(lease)
        live = self._live((lease.namespace, content.digest))
        if live is None:
            self._leases[lease.id] = replace(mine, content=content, place=self._intake())
            return _named(self._leases[lease.id], content)
        del self._leases[lease.id]
        self._note(lease.namespace, event)
        return self._claim(live, claim)

    async def publish(
        self, lease: Lease, claim: Claim, now: float, event: bytes | None = None, late_until: float | None = None
    ) -> Stored:
        noted = self._lease(lease)
        content = noted.content
        if content is None:
            raise LeaseLost("published before its bytes were in")
        del self._leases[lease.id]
        self._note(lease.namespace, event)
        name = _named(noted, content)
        mine = _Generation(Stored(name, content.sha256, content.size, State.LIVE, now, late_until=late_until))
        live = self._live((lease.namespace, content.digest))
        if live is not None:
            self._generations[name] = mine
            self._condemn(mine, "duplicate")
            return self._claim(live, claim)
        for other in self._of((lease.namespace, content.digest)):
            self._condemn(other, "healed")
        self._generations[name] = mine
        return self._claim(mine, claim)

    async def abandon(self, lease: Lease, late_until: float | None = None) -> None:
        self._end(lambda each: each.id == lease.id)
        for name, each in self._generations.items():
            if name.generation == lease.id and each.process is not None:
                each.process, each.stored = None, replace(each.stored, late_until=late_until)

    # -- holders ---------------------------------------------------------------------------------------------------

    async def hold(self, namespace: str, holder: str, digests: Collection[Digest], now: float) -> dict[Digest, int]:
        held = {digest: self._hold((namespace, digest), holder, now) for digest in digests}
        return {digest: live.size for digest, live in held.items() if live is not None}

    async def settle(self, namespace: str, holder: str, links: Iterable[tuple[Digest, Sequence[str]]]) -> None:
        for digest, slots in links:
            blob = (namespace, digest)
            held = self._holders.get((blob, holder))
            if held is not None:
                self._holders[blob, holder] = replace(held, confirmed=True)
                for slot in slots:
                    self._claims.pop((blob, holder, slot), None)

    async def holders(self, namespace: str, holder: str, digests: Collection[Digest]) -> list[Holder]:
        found = (self._holders.get(((namespace, digest), holder)) for digest in digests)
        return [held for held in found if held is not None]

    async def unconfirmed(self, limit: int) -> list[tuple[str, Holder]]:
        rows = [(blob[0], held) for (blob, _), held in self._holders.items() if not held.confirmed]
        return sorted(rows, key=lambda row: row[1].version)[:limit]

    async def release(self, namespace: str, holders: Collection[Holder], now: float) -> int:
        released = 0
        for held in holders:
            key = ((namespace, held.digest), held.holder)
            current = self._holders.get(key)
            if current is not None and current.version == held.version:
                del self._holders[key]
                self._let_go(*key, now)
                released += 1
        return released

    async def former(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Digest]:
        mine = [blob for blob, who in self._former if (blob[0], who) == (namespace, holder)]
        alone = [blob[1] for blob in mine if self._users(blob) <= {holder} and self._of(blob)]
        return sorted(digest for digest in alone if after is None or digest > after)[:limit]

    async def forget_former(self, namespace: str, holder: str, limit: int) -> int:
        mine = sorted(row for row in self._former if (row[0][0], row[1]) == (namespace, holder))[:limit]
        self._former -= set(mine)
        return len(mine)

    async def rehold(self, namespace: str, holder: str, digests: Collection[Digest]) -> None:
        for digest in digests:
            blob = (namespace, digest)
            self._holders[blob, holder] = Holder(digest, holder, self._next(), confirmed=False)
            for each in self._of(blob):
                each.orphaned_at = None

    # -- events ----------------------------------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[CatalogueEvent]:
        return self._outbox[:limit]

    async def numbering(self) -> Numbering:
        given = self._last_event
        return Numbering(self._outbox[0].seq - 1 if self._outbox else given, given)

    async def drained(self, seq: int) -> None:
        self._outbox = [event for event in self._outbox if event.seq > seq]

    # -- erasure and collection ------------------------------------------------------------------------------------

    async def fence(self, namespace: str, holder: str, scope: str | None, beginning: str = "") -> list[Lease]:
        return self._end(
            lambda each: (
                (each.namespace, each.holder) == (namespace, holder)
                and scope in (None, each.scope)
                and each.slot.startswith(beginning)
            )
        )

    async def drop_claims(
        self, namespace: str, holder: str, *, scope: str | None, beginning: str = "", now: float
    ) -> set[Digest]:
        return {
            digest
            for (_, digest), _ in self._drop(
                lambda blob, claim: (
                    (blob[0], claim.holder) == (namespace, holder)
                    and scope in (None, claim.scope)
                    and claim.slot.startswith(beginning)
                ),
                now,
            )
        }

    async def expire(self, now: float, dead_processes: Collection[str], limit: int = 1000) -> int:
        expired = sorted((claim.expires_at, key) for key, claim in self._claims.items() if claim.expires_at <= now)
        going = {key for _, key in expired[:limit]}
        claims = self._drop(lambda blob, claim: (blob, claim.holder, claim.slot) in going, now)
        ended = self._end(lambda each: each.expires_at <= now or each.process in dead_processes, now + LATE_SECONDS)
        for each in self._generations.values():
            if each.process in dead_processes and each.stored.late_until is not None:
                each.stored = replace(each.stored, late_until=min(each.stored.late_until, now + LATE_SECONDS))
        self._pins = {
            id: pin for id, pin in self._pins.items() if pin.expires_at > now and pin.process not in dead_processes
        }
        for each in self._generations.values():
            until = each.stored.kept_until
            if until is not None and until <= now and not self._pinned(each.stored.name.namespace):
                each.stored = replace(each.stored, kept_until=None)
        return len(claims) + len(ended)

    async def pin(self, pin: Pin) -> None:
        self._pins[pin.id] = pin

    async def unpin(self, pin: str) -> None:
        self._pins.pop(pin, None)

    async def pins(self) -> list[Pin]:
        return sorted(self._pins.values(), key=lambda pin: pin.id)

    async def orphans(
        self, namespace: str | None, before: float, limit: int, after: Orphan | None = None
    ) -> list[Orphan]:
        found = [
            Orphan(each.stored, each.orphaned_at)
            for each in self._generations.values()
            if each.orphaned_at is not None
            and each.orphaned_at < before
            and namespace in (None, each.stored.name.namespace)
        ]
        start = None if after is None else (after.since, after.stored.name)
        beyond = [each for each in found if start is None or (each.since, each.stored.name) > start]
        return sorted(beyond, key=lambda orphan: (orphan.since, orphan.stored.name))[:limit]

    async def forecast(self, namespace: str | None, before: float) -> Forecast:
        sizes = [each.stored.size for each in await self.orphans(namespace, before, len(self._generations))]
        namespaces = {name.namespace for name in self._generations if namespace in (None, name.namespace)}
        return Forecast(len(sizes), sum(sizes), sum(self._stored(each, WHOLE) for each in namespaces))

    async def condemn(
        self, namespace: str, digests: Collection[Digest], reason: str, before: float | None = None
    ) -> list[Condemned]:
        if before is not None and self._pinned(namespace):
            return []
        going = [
            each
            for blob in {(namespace, digest) for digest in digests}
            for each in self._of(blob)
            if not self._used(blob) and (before is None or (each.orphaned_at is not None and each.orphaned_at < before))
        ]
        condemned = [self._condemn(each, reason) for each in going]
        gone = {(namespace, each.name.digest) for each in condemned}
        for name, each in self._generations.items():
            if (name.namespace, name.digest) in gone:
                each.stored = replace(each.stored, kept_until=None)
        self._end(lambda each: bool(each.copies and each.content and (each.namespace, each.content.digest) in gone))
        self._derived = {key: each for key, each in self._derived.items() if key[0] not in gone}
        return condemned

    async def condemned(self, limit: int, after: Condemned | None = None) -> list[Condemned]:
        found = [
            _condemned(each)
            for each in self._generations.values()
            if each.stored.state is State.CONDEMNED and each.stored.kept_until is None
        ]
        start = None if after is None else (after.order, after.name)
        beyond = [each for each in found if start is None or (each.order, each.name) > start]
        return sorted(beyond, key=lambda each: (each.order, each.name))[:limit]

    async def may_come(self, namespace: str, holder: str | None, reason: str, now: float) -> bool:
        return any(
            holder is None or each.reason == reason or each.uploader in (holder, "")
            for name, each in self._generations.items()
            if name.namespace == namespace
            and each.stored.state is State.CONDEMNED
            and each.stored.kept_until is None
            and each.stored.late_until is not None
            and each.stored.late_until > now
        )

    async def buried(
        self, names: Collection[ObjectName], now: float, event: Callable[[Removal], bytes | None] | None = None
    ) -> list[Condemned]:
        forgotten = []
        for name in names:
            found = self._generations.get(name)
            if found is not None and found.stored.state is State.CONDEMNED:
                del self._generations[name]
                if found.reason != MOVED:
                    self._gone[name] = Gone(name, found.stored.size, found.reason, now)
                forgotten.append(_condemned(found))
                blob = (name.namespace, name.digest)
                if not self._exists(blob):
                    self._former = {row for row in self._former if row[0] != blob}
        if event is not None:
            for removal in removals(forgotten):
                self._note(removal.namespace, event(removal))
        return forgotten

    async def quarantine(self, name: ObjectName) -> bool:
        found = self._generations.get(name)
        if found is None or found.stored.state is not State.LIVE:
            return False
        found.stored = replace(found.stored, state=State.QUARANTINED)
        return True

    async def verified(self, names: Collection[ObjectName], now: float) -> None:
        for name in names:
            found = self._generations.get(name)
            if found is not None:
                found.stored = replace(found.stored, verified_at=now)

    # -- places ------------------------------------------------------------------------------------------------------

    async def first_place(self, location: str, options: Mapping[str, str]) -> list[Place]:
        if not self._places:
            self._places[FIRST] = Place(FIRST, location, dict(options), intake=True)
        return await self.places()

    async def places(self) -> list[Place]:
        return [self._places[id] for id in sorted(self._places)]

    async def take_in(self, location: str, options: Mapping[str, str], now: float) -> Place:
        known = next((each.id for each in self._places.values() if each.location == location), None)
        id = self._next() if known is None else known
        for other in self._places.values():
            if other.intake and other.id != id:
                self._left_at[other.id] = now
        self._places = {other.id: replace(other, intake=False) for other in self._places.values()}
        self._places[id] = Place(id, location, dict(options), intake=True)
        return self._places[id]

    async def elsewhere(self, place: int, after: ObjectName | None, limit: int) -> list[Stored]:
        rows = [each for each in self._all_live() if each.name.place != place]
        return [each for each in rows if after is None or each.name > after][:limit]

    async def copy(self, lease: Lease, of: ObjectName) -> ObjectName | None:
        live, intake = self._live((of.namespace, of.digest)), self._intake()
        if live is None or live.stored.name != of or live.stored.name.place == intake:
            return None
        content = Content(of.digest, live.stored.sha256, live.stored.size)
        made = replace(lease, namespace=of.namespace, content=content, place=intake, copies=of.generation, reserved=0)
        self._leases[lease.id] = made
        return _named(made, content)

    async def moved(self, lease: Lease, now: float, kept_until: float, late_until: float | None = None) -> bool:
        mine = self._lease(lease)
        content = mine.content
        if content is None or mine.copies is None:
            raise LeaseLost("it is no move's")
        live = self._live((mine.namespace, content.digest))
        if live is None or live.stored.name.generation != mine.copies:
            await self.abandon(lease, late_until)
            return False
        del self._leases[lease.id]
        name = _named(mine, content)
        copy = Stored(name, content.sha256, content.size, State.LIVE, now, late_until=late_until)
        self._generations[name] = _Generation(copy, live.orphaned_at)
        self._condemn(live, MOVED)
        live.stored = replace(live.stored, kept_until=kept_until)
        return True

    async def gather(self, location: str, options: Mapping[str, str]) -> None:
        self._places = {FIRST: Place(FIRST, location, dict(options), intake=True)}
        self._leases = {id: replace(lease, place=FIRST) for id, lease in self._leases.items()}
        found = list(self._generations.values())
        for each in found:
            name = replace(each.stored.name, place=FIRST)
            each.stored = replace(each.stored, name=name, kept_until=None, late_until=None)
        self._generations = {each.stored.name: each for each in found}

    async def shorten(self, until: float) -> None:
        for each in self._generations.values():
            if each.stored.kept_until is not None:
                each.stored = replace(each.stored, kept_until=min(until, each.stored.kept_until))

    async def contents(self) -> list[Contents]:
        blobs: Counter[tuple[int, str, bool]] = Counter()
        sizes: Counter[tuple[int, str, bool]] = Counter()
        for each in self._sorted():
            group = (each.name.place, str(each.state), each.kept_until is not None)
            blobs[group] += 1
            sizes[group] += each.size
        return [Contents(*group, blobs[group], sizes[group]) for group in sorted(blobs)]

    async def leave_places(self, before: float) -> list[Place]:
        used = {name.place for name in self._generations} | {lease.place for lease in self._leases.values()}
        left = [
            each
            for each in await self.places()
            if not each.intake and each.id not in used and self._left_at[each.id] < before
        ]
        for each in left:
            del self._places[each.id]
        return left

    # -- what was made of blobs --------------------------------------------------------------------------------------

    async def keep_derived(self, namespace: str, digest: Digest, derived: Derived, most: int = MOST) -> None:
        key = ((namespace, digest), derived.kind)
        self._derived.pop(key, None)
        if self._live(key[0]) is not None:
            self._derived[key] = derived
        for oldest in [each for each in self._derived if each[0][0] == namespace][: -most or None]:
            del self._derived[oldest]

    async def derived(self, namespace: str, digest: Digest, kind: str) -> Derived | None:
        blob = (namespace, digest)
        return None if self._live(blob) is None else self._derived.get((blob, kind))

    # -- questions -------------------------------------------------------------------------------------------------

    async def find(self, namespace: str, digest: Digest) -> Stored | None:
        live = self._live((namespace, digest))
        return None if live is None else live.stored

    async def live(self, namespace: str, digests: Collection[Digest]) -> list[Stored]:
        found = (await self.find(namespace, digest) for digest in sorted(set(digests)))
        return [stored async for stored in found if stored is not None]

    async def find_sha256(self, namespace: str, sha256: bytes) -> Stored | None:
        return next((each for each in self._all_live(namespace) if each.sha256 == sha256), None)

    async def generations(self, namespace: str, digest: Digest) -> list[Stored]:
        return [each for each in self._sorted() if (each.name.namespace, each.name.digest) == (namespace, digest)]

    async def holders_of(self, namespace: str, digest: Digest) -> list[Holder]:
        rows = [held for (blob, _), held in self._holders.items() if blob == (namespace, digest)]
        return sorted(rows, key=lambda held: held.holder)

    async def claims_of(self, namespace: str, digest: Digest) -> list[ClaimedBlob]:
        rows = [ClaimedBlob(digest, claim) for (blob, *_), claim in self._claims.items() if blob == (namespace, digest)]
        return sorted(rows, key=lambda row: (row.claim.holder, row.claim.slot))

    async def claims_by(
        self, namespace: str, holder: str, limit: int, after: tuple[str, Digest] | None = None
    ) -> list[ClaimedBlob]:
        rows = [
            ClaimedBlob(blob[1], claim)
            for (blob, who, slot), claim in self._claims.items()
            if (blob[0], who) == (namespace, holder) and (after is None or (slot, blob[1]) > after)
        ]
        return sorted(rows, key=lambda row: (row.claim.slot, row.digest))[:limit]

    async def gone(self, namespace: str, digest: Digest) -> list[Gone]:
        rows = [each for name, each in self._gone.items() if (name.namespace, name.digest) == (namespace, digest)]
        return sorted(rows, key=lambda each: (each.at, each.name))

    async def removed(self, namespace: str, reason: str, after: ObjectName | None, limit: int) -> list[Gone]:
        rows = [each for each in self._gone.values() if (each.name.namespace, each.reason) == (namespace, reason)]
        return sorted((each for each in rows if after is None or each.name > after), key=lambda each: each.name)[:limit]

    async def walk(self, after: ObjectName | None, limit: int) -> list[Stored]:
        return [each for each in self._sorted() if after is None or each.name > after][:limit]

    async def stalest(self, before: float, limit: int) -> list[Stored]:
        rows = [each for each in self._all_live() if each.verified_at < before]
        return sorted(rows, key=lambda each: each.verified_at)[:limit]

    async def held(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Holder]:
        rows = [held for (blob, who), held in self._holders.items() if (blob[0], who) == (namespace, holder)]
        rows = [held for held in rows if after is None or held.digest > after]
        return sorted(rows, key=lambda held: held.digest)[:limit]

    async def claimed(
        self, namespace: str, holder: str, beginnings: Collection[str], after: Digest | None, limit: int
    ) -> list[Digest]:
        found = {
            digest
            for (space, digest), who, slot in self._claims
            if (space, who) == (namespace, holder) and slot.startswith(tuple(beginnings))
        }
        return sorted(digest for digest in found if after is None or digest > after)[:limit]

    async def shares(
        self, namespace: str, holder: str, beginnings: Collection[str], digests: Collection[Digest]
    ) -> list[Share]:
        found = []
        for digest in sorted(set(digests)):
            blob = (namespace, digest)
            claims = [claim for (of, who, _), claim in self._claims.items() if (of, who) == (blob, holder)]
            covered = [each for each in claims if each.slot.startswith(tuple(beginnings))]
            beside = frozenset(each.scope for each in claims if each not in covered)
            others = frozenset(self._users(blob) - {holder})
            if self._of(blob):
                size = sum(each.stored.size for each in self._of(blob))
                held = (blob, holder) in self._holders
                found.append(Share(digest, size, others, held, bool(covered), beside))
        return found

    async def leases(self, ids: Collection[str] | None = None) -> list[Lease]:
        found = (lease for lease in self._leases.values() if ids is None or lease.id in ids)
        return sorted(found, key=lambda lease: lease.id)

    async def totals(self, namespace: str) -> Totals:
        live = self._all_live(namespace)
        orphans = [each for each in live if self._generations[each.name].orphaned_at is not None]
        sizes = {
            name.digest: each.stored.size for name, each in self._generations.items() if name.namespace == namespace
        }
        holds = Counter(blob[1] for blob, _ in self._holders if blob[0] == namespace)
        shared = sum((count - 1) * sizes.get(digest, 0) for digest, count in holds.items())
        bytes, orphaned = sum(each.size for each in live), sum(each.size for each in orphans)
        return Totals(len(live), bytes, len(orphans), orphaned, shared)

    async def sanitize(self, timeout: float) -> bool:
        return True

    # -- quotas ----------------------------------------------------------------------------------------------------

    async def limit(self, limit: Limit) -> None:
        self._limits[limit.namespace, limit.holder] = limit

    async def unlimit(self, namespace: str, holder: str) -> bool:
        return self._limits.pop((namespace, holder), None) is not None

    async def limits(self) -> list[Limit]:
        return [self._limits[named] for named in sorted(self._limits)]

    async def volume(self, namespace: str, holder: str = WHOLE) -> Volume:
        any_holder = WHOLE if holder == WHOLE else EVERY
        named = ((namespace, holder), (namespace, any_holder), (EVERY, holder), (EVERY, any_holder))
        limit = next((self._limits[each].bytes for each in named if each in self._limits), None)
        leases = [lease for lease in self._leases.values() if lease.namespace == namespace]
        reserved = sum(lease.reserved for lease in leases if holder in (WHOLE, lease.holder))
        return Volume(namespace, holder, self._stored(namespace, holder), reserved, limit)

    async def volumes(self) -> list[Volume]:
        names = {(name.namespace, WHOLE) for name in self._generations} | set(await self.parties())
        for lease in self._leases.values():
            names |= {(lease.namespace, WHOLE), (lease.namespace, lease.holder)}
        found = [await self.volume(*name) for name in sorted(names)]
        return [replace(each, limit=None) for each in found if each.stored or each.reserved]

    async def reserved(self) -> int:
        return sum(lease.reserved for lease in self._leases.values())

    async def recount(self, *, repair: bool) -> list[Volume]:
        return []

    # -- checks ----------------------------------------------------------------------------------------------------

    async def survey(self, after: ObjectName | None, limit: int) -> list[Standing]:
        return [await self._standing(each) for each in await self.walk(after, limit)]

    async def parties(self) -> list[tuple[str, str]]:
        held = {(blob[0], holder) for blob, holder in self._holders}
        return sorted(held | {(blob[0], holder) for blob, holder, _ in self._claims})

    async def remark(self, namespace: str, digests: Collection[Digest], now: float) -> None:
        for digest in digests:
            blob = (namespace, digest)
            self._mark_orphan(blob, now)
            if self._used(blob):
                for each in self._of(blob):
                    each.orphaned_at = None

    async def check(self) -> list[str]:
        return []

    async def close(self) -> None:
        """Nothing to let go of."""

    # -- the steps that several methods share ------------------------------------------------------------------------

    async def _standing(self, stored: Stored) -> Standing:
        namespace, digest = stored.name.namespace, stored.name.digest
        holders, claims = await self.holders_of(namespace, digest), await self.claims_of(namespace, digest)
        return Standing(stored, len(holders), len(claims), self._generations[stored.name].orphaned_at)

    def _next(self) -> int:
        self._counter += 1
        return self._counter

    def _intake(self) -> int:
        return next((each.id for each in self._places.values() if each.intake), FIRST)

    def _pinned(self, namespace: str) -> bool:
        return any(pin.namespace in (None, namespace) for pin in self._pins.values())

    def _lease(self, lease: Lease) -> Lease:
        if lease.id not in self._leases:
            raise LeaseLost("the upload was fenced off")
        return self._leases[lease.id]

    async def _require_room(self, lease: Lease, size: int, more: int, beside: Beside) -> None:
        for holder in (lease.holder, WHOLE):
            volume = await self.volume(lease.namespace, holder)
            require_possible(volume, size)
            require_room(volume, more, beside)

    def _stored(self, namespace: str, holder: str) -> int:
        whole = [each for name, each in self._generations.items() if name.namespace == namespace]
        if holder == WHOLE:
            return sum(each.stored.size for each in whole if each.reason != MOVED)
        mine = [each.stored for each in whole]
        held = {blob for blob, who in self._holders if who == holder}
        held |= {blob for blob, who, _ in self._claims if who == holder}
        sizes = {each.name.digest: each.size for each in mine if (namespace, each.name.digest) in held}
        return sum(sizes.values())

    def _of(self, blob: Blob) -> list[_Generation]:
        """The generations of a blob that are not condemned."""
        return [
            each
            for name, each in self._generations.items()
            if (name.namespace, name.digest) == blob and each.stored.state is not State.CONDEMNED
        ]

    def _live(self, blob: Blob) -> _Generation | None:
        return next((each for each in self._of(blob) if each.stored.state is State.LIVE), None)

    def _sorted(self) -> list[Stored]:
        return sorted((each.stored for each in self._generations.values()), key=lambda each: each.name)

    def _all_live(self, namespace: str | None = None) -> list[Stored]:
        return [
            each for each in self._sorted() if each.state is State.LIVE and namespace in (None, each.name.namespace)
        ]

    def _users(self, blob: Blob) -> set[str]:
        holding = {holder for held, holder in self._holders if held == blob}
        return holding | {holder for claimed, holder, _ in self._claims if claimed == blob}

    def _used(self, blob: Blob) -> bool:
        return bool(self._users(blob))

    def _exists(self, blob: Blob) -> bool:
        return any((name.namespace, name.digest) == blob for name in self._generations)

    def _let_go(self, blob: Blob, holder: str, now: float) -> None:
        if self._exists(blob):
            self._former.add((blob, holder))
        self._mark_orphan(blob, now)

    def _mark_orphan(self, blob: Blob, now: float) -> None:
        if not self._used(blob):
            for each in self._of(blob):
                each.orphaned_at = now if each.orphaned_at is None else each.orphaned_at

    def _claim(self, live: _Generation, claim: Claim) -> Stored:
        name = live.stored.name
        self._claims[(name.namespace, name.digest), claim.holder, claim.slot] = claim
        live.orphaned_at = None
        return live.stored

    def _hold(self, blob: Blob, holder: str, now: float) -> Stored | None:
        mine = any(key[:2] == (blob, holder) and claim.expires_at > now for key, claim in self._claims.items())
        live = self._live(blob)
        if live is None or not (mine or (blob, holder) in self._holders):
            return None
        self._holders[blob, holder] = Holder(blob[1], holder, self._next(), confirmed=False)
        return live.stored

    def _drop(self, going: Callable[[Blob, Claim], bool], now: float) -> list[tuple[Blob, Claim]]:
        dropped = [(key, claim) for key, claim in self._claims.items() if going(key[0], claim)]
        for key, _ in dropped:
            del self._claims[key]
        for key, claim in dropped:
            self._let_go(key[0], claim.holder, now)
        return [(key[0], claim) for key, claim in dropped]

    def _condemn(self, going: _Generation, reason: str) -> Condemned:
        going.stored = replace(going.stored, state=State.CONDEMNED)
        going.reason, going.order, going.orphaned_at = reason, self._next(), None
        return _condemned(going)

    def _note(self, namespace: str, event: bytes | None) -> None:
        if event is not None:
            self._last_event = self._next()
            self._outbox.append(CatalogueEvent(self._last_event, namespace, event))

    def _end(self, going: Callable[[Lease], bool], late_until: float | None = None) -> list[Lease]:
        """Take leases away; where all bytes were in, their object may exist, or come: condemn it."""
        ended = [lease for lease in self._leases.values() if going(lease)]
        for lease in ended:
            del self._leases[lease.id]
            if lease.content is not None:
                name = _named(lease, lease.content)
                late = lease.expires_at + LATE_SECONDS if late_until is None else late_until
                content = lease.content
                stored = Stored(name, content.sha256, content.size, State.CONDEMNED, 0.0, late_until=late)
                self._generations[name] = _Generation(stored, process=lease.process, uploader=lease.holder)
                self._condemn(self._generations[name], "abandoned" if lease.copies is None else MOVED)
        return ended


def _named(lease: Lease, content: Content) -> ObjectName:
    return ObjectName(lease.namespace, content.digest, lease.id, lease.place)


def _condemned(each: _Generation) -> Condemned:
    stored = each.stored
    return Condemned(stored.name, stored.size, each.reason, each.process, each.order, stored.late_until)
