"""What a batch does to what is there, decided without I/O: for engines that read before and write after."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from blobstore.digest import Digest
from records.model import Batch, Delete, Outcome, PartitionStats, Put


@dataclass(frozen=True, slots=True)
class Present:
    """What must be known of a record that is there: `size` of its JSON text in bytes, the digests that it links."""

    fingerprint: bytes
    size: int
    digests: tuple[Digest, ...]


@dataclass(slots=True)
class Plan:
    """The effect of a batch. `last` has, by key, the mutation that stands in the end and the version that it made."""

    outcomes: list[Outcome] = field(default_factory=list)
    last: dict[str, tuple[Put | Delete, int]] = field(default_factory=dict)
    dropped: set[Digest] = field(default_factory=set)
    """Digests that some mutation took a link from; another may have linked them again."""

    @property
    def changed(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.last)


def plan(batch: Batch, present: Mapping[str, Present], stats: PartitionStats) -> tuple[Plan, PartitionStats]:
    """Play the mutations in their order on the records that are there; the partition's stats after that."""
    done, now, tally = Plan(), dict(present), _Tally(stats)
    for mutation in batch.mutations:
        there = now.get(mutation.key)
        if isinstance(mutation, Delete):
            if there is None:
                done.outcomes.append(Outcome.ABSENT)
                continue
            outcome = Outcome.DELETED
        elif there is not None and (batch.append_only or there.fingerprint == mutation.fingerprint):
            done.outcomes.append(Outcome.UNCHANGED)
            continue
        else:
            outcome = Outcome.CREATED if there is None else Outcome.UPDATED
        done.outcomes.append(outcome)
        if there is not None:
            done.dropped.update(there.digests)
            tally.remove(there)
            del now[mutation.key]
        if isinstance(mutation, Put):
            new = Present(mutation.fingerprint, len(mutation.data), tuple(link.digest for link in mutation.links))
            now[mutation.key] = new
            tally.add(new, mutation.emitted_at)
        done.last[mutation.key] = (mutation, tally.next_version())
    return done, tally.stats()


class _Tally:
    """Counts along; an update is no moment of emptiness, so `updated_at` is settled after each whole mutation."""

    def __init__(self, stats: PartitionStats) -> None:
        self._records, self._bytes, self._links = stats.records, stats.bytes, stats.links
        self._version, self._newest = stats.version, stats.updated_at

    def add(self, record: Present, emitted_at: str) -> None:
        self._records += 1
        self._bytes += record.size
        self._links += len(record.digests)
        self._newest = emitted_at if self._newest is None else max(self._newest, emitted_at)

    def remove(self, record: Present) -> None:
        self._records -= 1
        self._bytes -= record.size
        self._links -= len(record.digests)

    def next_version(self) -> int:
        self._version += 1
        if not self._records:
            self._newest = None
        return self._version

    def stats(self) -> PartitionStats:
        return PartitionStats(self._records, self._bytes, self._links, self._version, self._newest)
