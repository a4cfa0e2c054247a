"""What a batch does to what is there, decided without I/O: for engines that read before and write after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from blobstore.digest import Digest
from records.engines.summing import Change, Sized
from records.history import Revision, revise, same_content
from records.model import Batch, Delete, Outcome, PartitionStats, Put, Tombstone


class Present(msgspec.Struct, frozen=True, gc=False):
    """A record that is there, with the blobs that it links; `data` None: it is to be asked for when it is needed.

    `size` is how many bytes of data it has.
    """

    version: int
    emitted_at: str
    revisions: bytes | None
    data: bytes | None
    size: int
    links: tuple[Sized, ...]


class New(msgspec.Struct, frozen=True, gc=False):
    """A record that stands in the end."""

    put: Put
    version: int
    revisions: bytes | None


class Past(msgspec.Struct, frozen=True, gc=False):
    """A state that a batch ended: the key's from `version` on, until `until`; `remembered` None: it was gone."""

    key: str
    version: int
    until: int
    remembered: bytes | None


@dataclass(slots=True)
class Plan:
    """The effect of a batch: what stands in the end by key, and what it supersedes."""

    outcomes: list[Outcome] = field(default_factory=list)
    records: dict[str, New] = field(default_factory=dict)
    graves: dict[str, Tombstone] = field(default_factory=dict)
    past: list[Past] = field(default_factory=list)
    dropped: set[Digest] = field(default_factory=set)
    """Digests that some mutation took a link from; another may have linked them again."""

    @property
    def changed(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.records or self.graves)

    def superseded(self, present: Mapping[str, Present]) -> list[tuple[str, Present]]:
        """Of the records that are there those that go, by key; what stands in the end is added anew."""
        changed = self.records.keys() | self.graves.keys()
        return [(key, each) for key, each in present.items() if key in changed]

    def change(self, present: Mapping[str, Present]) -> Change:
        """What it does to sums."""
        change = Change()
        for _, each in self.superseded(present):
            change.go(each.emitted_at, each.size, each.links)
        change.come((new.put.emitted_at, len(new.put.data), new.put.links) for new in self.records.values())
        return change


Read = Callable[[int], bytes]
"""The data of the record that is at a version."""


def plan(
    batch: Batch, present: Mapping[str, Present], buried: Mapping[str, int], stats: PartitionStats, read: Read
) -> tuple[Plan, PartitionStats]:
    """Play the mutations in their order on the records that are there; the partition's stats after that.

    `buried` has, by key, the version of the tombstone that is there.
    """
    play = _Play(batch, present, buried, stats, read)
    for mutation in batch.mutations:
        play.done.outcomes.append(play.put(mutation) if isinstance(mutation, Put) else play.delete(mutation))
    return play.done, play.stats()


class _Play:
    """The state of things between two mutations."""

    def __init__(
        self, batch: Batch, present: Mapping[str, Present], buried: Mapping[str, int], stats: PartitionStats, read: Read
    ) -> None:
        self.done = Plan()
        self._read = read
        self._recorder, self._append_only = batch.recorder, batch.append_only
        self._present, self._buried, self._was = present, buried, stats
        self._records, self._bytes, self._links = stats.records, stats.bytes, stats.links
        self._version, self._newest = stats.version, stats.updated_at

    def put(self, put: Put) -> Outcome:
        there = self._find(put.key)
        if there is not None and self._append_only:
            return Outcome.UNCHANGED
        old = None if there is None else self._data(there)
        if old is not None and same_content(old, put.data):
            return Outcome.UNCHANGED
        self._version += 1
        revisions = None
        if there is not None and old is not None:
            was, now = Revision(there.version, there.emitted_at), Revision(self._version, put.emitted_at)
            revisions = revise(there.revisions, was, old, put.data, now)
            self._supersede(put.key, there, old)
        elif (gone := self._gone_since(put.key)) is not None:
            self.done.past.append(Past(put.key, gone, self._version, None))
        self.done.graves.pop(put.key, None)
        self.done.records[put.key] = New(put, self._version, revisions)
        self._records += 1
        self._bytes += len(put.data)
        self._links += len(put.links)
        if self._newest is None or put.emitted_at > self._newest:
            self._newest = put.emitted_at
        return Outcome.CREATED if there is None else Outcome.UPDATED

    def delete(self, delete: Delete) -> Outcome:
        key, there = delete.key, self._find(delete.key)
        if there is None:
            return Outcome.ABSENT
        self._version += 1
        data = self._data(there)
        self._supersede(key, there, data)
        self.done.records.pop(key, None)
        self.done.graves[key] = Tombstone(key, self._version, delete.deleted_at, delete.emitted_at)
        if not self._records:  # an update is no moment of emptiness
            self._newest = None
        return Outcome.DELETED

    def _find(self, key: str) -> Present | None:
        """The record that is there between these two mutations."""
        if (new := self.done.records.get(key)) is None:
            return None if key in self.done.graves else self._present.get(key)
        links = tuple((link.digest, link.size) for link in new.put.links)
        return Present(new.version, new.put.emitted_at, new.revisions, new.put.data, len(new.put.data), links)

    def _gone_since(self, key: str) -> int | None:
        """The version of the tombstone that is there."""
        grave = self.done.graves.get(key)
        return self._buried.get(key) if grave is None else grave.version

    def _data(self, there: Present) -> bytes:
        return self._read(there.version) if there.data is None else there.data

    def _supersede(self, key: str, there: Present, data: bytes) -> None:
        self.done.past.append(Past(key, there.version, self._version, self._recorder.remember(data)))
        self.done.dropped.update(digest for digest, _ in there.links)
        self._records -= 1
        self._bytes -= len(data)
        self._links -= len(there.links)

    def stats(self) -> PartitionStats:
        return replace(
            self._was,
            records=self._records,
            bytes=self._bytes,
            links=self._links,
            version=self._version,
            updated_at=self._newest,
        )
