"""One partition in memory: what is there by key, what was there before, and how the one becomes the other."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from blobstore.digest import Digest
from records.history import Recorder, Revision, consent_in, erased, redacted, revise, same_content
from records.model import (
    Change,
    Changes,
    Delete,
    Link,
    Outcome,
    Overtaken,
    Partition,
    PartitionStats,
    Put,
    StoredRecord,
    Target,
    Tombstone,
)
from records.reading.paging import State, take_states

EMPTY = PartitionStats(0, 0, 0, 0, None)


@dataclass(frozen=True, slots=True)
class Live:
    """A record as it was put."""

    put: Put
    version: int
    revisions: bytes | None


@dataclass(frozen=True, slots=True)
class Past:
    """A state that was superseded at a time: the key's from `version` on, until `until`."""

    key: str
    version: int
    until: int
    at: int
    remembered: bytes | None
    erased: bool = False


@dataclass(slots=True)
class Records:
    """Records and tombstones by key, and what is remembered in the order of `until`."""

    stats: PartitionStats = EMPTY
    live: dict[str, Live] = field(default_factory=dict)
    graves: dict[str, tuple[Tombstone, int]] = field(default_factory=dict)
    past: list[Past] = field(default_factory=list)

    # -- writing ---------------------------------------------------------------------------------------------------

    def put(self, put: Put, recorder: Recorder, now: int, *, append_only: bool) -> Outcome:
        there = self.live.get(put.key)
        if there is not None and (append_only or same_content(there.put.data, put.data)):
            return Outcome.UNCHANGED
        newest, version = self.stats.updated_at or "", self.stats.version + 1
        revisions = None
        if there is not None:
            was = Revision(there.version, there.put.emitted_at)
            revision = Revision(version, put.emitted_at)
            revisions = revise(there.revisions, was, there.put.data, put.data, revision)
            self.past.append(Past(put.key, there.version, version, now, recorder.remember(there.put.data)))
            self.remove(put.key)
        elif put.key in self.graves:
            grave, _ = self.graves.pop(put.key)
            self.past.append(Past(put.key, grave.version, version, now, None))
        self.live[put.key] = Live(put, version, revisions)
        self.stats = replace(
            self.stats,
            records=self.stats.records + 1,
            bytes=self.stats.bytes + len(put.data),
            links=self.stats.links + len(put.links),
            version=version,
            updated_at=max(newest, put.emitted_at),
        )
        return Outcome.CREATED if there is None else Outcome.UPDATED

    def delete(self, delete: Delete, recorder: Recorder, now: int) -> Outcome:
        there = self.live.get(delete.key)
        if there is None:
            return Outcome.ABSENT
        self.bury(delete, recorder.remember(there.put.data), now)
        return Outcome.DELETED

    def erase(self, delete: Delete, consent_field: str | None, now: int) -> None:
        """Take a record out; what stays is that it was there."""
        consent = consent_in(self.live[delete.key].put.data, consent_field)
        self.bury(delete, erased(consent, consent_field), now, erased=True)

    def bury(self, delete: Delete, remembered: bytes, now: int, *, erased: bool = False) -> None:
        """Leave a tombstone in a record's place."""
        there, version = self.remove(delete.key), self.stats.version + 1
        self.stats = replace(self.stats, version=version)
        self.past.append(Past(delete.key, there.version, version, now, remembered, erased))
        self.graves[delete.key] = Tombstone(delete.key, version, delete.deleted_at, delete.emitted_at), now

    def relink(self, key: str, links: Sequence[Link]) -> None:
        """Give a record other links."""
        there = self.live[key]
        self.live[key] = replace(there, put=structs.replace(there.put, links=tuple(links)))
        self.stats = replace(self.stats, links=self.stats.links + len(links) - len(there.put.links))

    def remove(self, key: str) -> Live:
        """Take a record out, and out of the counts."""
        there = self.live.pop(key)
        self.stats = replace(
            self.stats,
            records=self.stats.records - 1,
            bytes=self.stats.bytes - len(there.put.data),
            links=self.stats.links - len(there.put.links),
            updated_at=self.stats.updated_at if self.live else None,
        )
        return there

    # -- reading ---------------------------------------------------------------------------------------------------

    def stored(self, place: Partition) -> Iterator[StoredRecord]:
        for each in self.live.values():
            put = each.put
            yield StoredRecord(
                place, put.key, put.sort, put.data, put.emitted_at, each.version, bool(put.links), each.revisions
            )

    def digests(self, key: str) -> set[Digest]:
        """What the record links."""
        there = self.live.get(key)
        return set() if there is None else {link.digest for link in there.put.links}

    def changes(
        self,
        place: Partition,
        since: int,
        after: int,
        horizon: int,
        limit: int,
        max_bytes: int | None,
        owed: Mapping[str, int],
    ) -> Changes:
        states: list[State] = list(self.stored(place))
        if since:
            states += [grave for grave, _ in self.graves.values()]
        states += [Overtaken(each.key, each.version) for each in self.past if each.version <= horizon < each.until]
        states = sorted((each for each in states if after < each.version <= horizon), key=lambda each: each.version)
        taken, reached = take_states(states, horizon, limit, max_bytes)
        before = {
            each.key: each.remembered for each in self.past if each.version <= owed.get(each.key, since) < each.until
        }
        return Changes(
            [Change(each, before.get(each.key)) for each in taken if not isinstance(each, Overtaken)],
            [each for each in taken if isinstance(each, Overtaken)],
            reached,
        )

    # -- erasing ---------------------------------------------------------------------------------------------------

    def forget(self, before: float, limit: int) -> int:
        """What is remembered goes as the port says, oldest first; how much went."""
        made = [(each.until, each.at) for each in self.past]
        made += [(grave.version, at) for grave, at in self.graves.values()]
        floor = 0
        for version, at in sorted(made)[:limit]:
            if at >= before:
                break
            floor = version
        self.forget_until(floor)
        self.stats = replace(self.stats, floor=max(self.stats.floor, floor))
        return len(made) - len(self.past) - len(self.graves)

    def forget_until(self, floor: int) -> None:
        """What is remembered of versions up to this one goes."""
        self.past = [each for each in self.past if each.until > floor]
        self.graves = {key: grave for key, grave in self.graves.items() if grave[0].version > floor}

    def erase_graves(self, limit: int) -> int:
        """Up to `limit` tombstones go, oldest first; how many."""
        gone = sorted(self.graves, key=lambda key: self.graves[key][0].version)[:limit]
        for key in gone:
            del self.graves[key]
        return len(gone)

    def erase_past(self, limit: int) -> int:
        """Up to `limit` remembered states go, oldest first; how many."""
        gone, self.past = self.past[:limit], self.past[limit:]
        return len(gone)

    def redact(self, target: Target, limit: int) -> int:
        """Cut up to `limit` remembered states of the target to what may stay, oldest first; how many."""
        cut = self.remembered(target)[:limit]
        self.past = [
            replace(each, remembered=redacted(each.remembered or b""), erased=True) if each in cut else each
            for each in self.past
        ]
        return len(cut)

    def remembered(self, target: Target) -> list[Past]:
        """States of the target's records of which more is remembered than an erasure leaves."""
        mine = (each for each in self.past if target.key in (None, each.key))
        return [each for each in mine if each.remembered is not None and not each.erased]


def whole_second(now: float) -> int:
    """The time of a change as it is kept: never too early, so that nothing is forgotten too early."""
    return math.ceil(now)
