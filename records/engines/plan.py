"""What a batch does to what is there, decided without I/O: for engines that read before and write after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from blobstore.digest import Digest
from records import jsontext
from records.history import Recorder, Revision, consent_of, read_revisions, revise, same_content
from records.model import Batch, Delete, Outcome, PartitionStats, Put, Tombstone


@dataclass(frozen=True, slots=True)
class Alive:
    """What must be known of a record that is there: `size` of its JSON text in bytes, the digests that it links.

    `data` may be None where nothing of the batch can change or remove it.
    """

    data: bytes | None
    size: int
    digests: tuple[Digest, ...]
    version: int
    emitted_at: str
    revisions: bytes | None


@dataclass(frozen=True, slots=True)
class Buried:
    """A tombstone that is there."""

    version: int


@dataclass(frozen=True, slots=True)
class Past:
    """A state that was superseded at version `until`; `remembered` is None for a tombstone's."""

    key: str
    version: int
    until: int
    remembered: bytes | None


@dataclass(frozen=True, slots=True)
class Written:
    """A record as it is to stand."""

    put: Put
    version: int
    revisions: bytes | None


@dataclass(slots=True)
class Plan:
    """The effect of a batch. `last` has, by key, what stands in the end."""

    outcomes: list[Outcome] = field(default_factory=list)
    last: dict[str, Written | Tombstone] = field(default_factory=dict)
    past: list[Past] = field(default_factory=list)
    dropped: set[Digest] = field(default_factory=set)
    """Digests that some mutation took a link from; another may have linked them again."""

    @property
    def changed(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.last)

    def written(self) -> Iterator[Written]:
        """The records that stand."""
        return (each for each in self.last.values() if isinstance(each, Written))

    def buried(self) -> Iterator[Tombstone]:
        """The tombstones that stand."""
        return (each for each in self.last.values() if isinstance(each, Tombstone))


def plan(batch: Batch, present: Mapping[str, Alive | Buried], stats: PartitionStats) -> tuple[Plan, PartitionStats]:
    """Play the mutations in their order on the records that are there; the partition's stats after that."""
    done, now, tally = Plan(), dict(present), _Tally(stats)
    for mutation in batch.mutations:
        there = now.get(mutation.key)
        alive = there if isinstance(there, Alive) else None
        outcome = _outcome(batch, mutation, alive)
        done.outcomes.append(outcome)
        if outcome in (Outcome.ABSENT, Outcome.UNCHANGED):
            continue
        version = tally.replace(alive, mutation)
        if there is not None:
            done.past.append(_past(mutation.key, there, version, batch.recorder))
        if alive is not None:
            done.dropped.update(alive.digests)
        stands, now[mutation.key] = _stand(mutation, alive, version, batch.recorder)
        done.last[mutation.key] = stands
    return done, tally.stats


def bury(alive: Alive, delete: Delete, version: int, consent_field: str | None) -> Tombstone:
    """What is left of a record once it is deleted."""
    born = alive.version if alive.revisions is None else read_revisions(alive.revisions).born.version
    consent = None
    if consent_field is not None and alive.data is not None:
        consent = consent_of(jsontext.decode(alive.data), consent_field)
    return Tombstone(delete.key, version, delete.deleted_at, delete.emitted_at, born, consent)


def _outcome(batch: Batch, mutation: Put | Delete, alive: Alive | None) -> Outcome:
    if isinstance(mutation, Delete):
        return Outcome.ABSENT if alive is None else Outcome.DELETED
    if alive is None:
        return Outcome.CREATED
    if batch.append_only or (alive.data is not None and same_content(alive.data, mutation.data)):
        return Outcome.UNCHANGED
    return Outcome.UPDATED


def _past(key: str, there: Alive | Buried, until: int, recorder: Recorder) -> Past:
    if isinstance(there, Buried) or there.data is None:
        return Past(key, there.version, until, None)
    return Past(key, there.version, until, recorder.remember(there.data))


def _stand(
    mutation: Put | Delete, alive: Alive | None, version: int, recorder: Recorder
) -> tuple[Written | Tombstone, Alive | Buried]:
    """What is to be written, and what later mutations of the batch find."""
    if isinstance(mutation, Delete):
        assert alive is not None  # it would be absent
        return bury(alive, mutation, version, recorder.consent_field), Buried(version)
    revisions = None
    if alive is not None and alive.data is not None:
        was, now = Revision(alive.version, alive.emitted_at), Revision(version, mutation.emitted_at)
        revisions = revise(alive.revisions, was, alive.data, mutation.data, now)
    digests = tuple(link.digest for link in mutation.links)
    found = Alive(mutation.data, len(mutation.data), digests, version, mutation.emitted_at, revisions)
    return Written(mutation, version, revisions), found


class _Tally:
    """Counts along; an update is no moment of emptiness, so `updated_at` is settled after each whole mutation."""

    def __init__(self, stats: PartitionStats) -> None:
        self.stats = stats

    def replace(self, old: Alive | None, mutation: Put | Delete) -> int:
        """Count one change; the version that it makes."""
        was = self.stats
        put = mutation if isinstance(mutation, Put) else None
        records = was.records - (old is not None) + (put is not None)
        newest = was.updated_at
        if put is not None:
            newest = put.emitted_at if newest is None else max(newest, put.emitted_at)
        self.stats = replace(
            was,
            records=records,
            bytes=was.bytes - (old.size if old else 0) + (len(put.data) if put else 0),
            links=was.links - (len(old.digests) if old else 0) + (len(put.links) if put else 0),
            version=was.version + 1,
            updated_at=newest if records else None,
        )
        return self.stats.version
