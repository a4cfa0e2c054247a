"""The values that records are made of, the same above and below the engine port.

What comes by the thousand is a `Struct`: it is made in a tenth of the time that a dataclass takes. None of these can be
part of a cycle, so the garbage collector need not look at them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from blobstore.digest import Digest
from records.history import Recorder


class Order(StrEnum):
    """Direction of a list by (cursor field, key); records without the cursor field come last in both."""

    ASC = "asc"
    DESC = "desc"


class Partition(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where records of one kind live together: one stream of one instance of one connector."""

    connector: str
    instance: str
    stream: str


class SortKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """The cursor field's value as far as it orders a list, ascending; among equal ones the key decides.

    `absent` is true for records without the cursor field. `cursor` keeps the order of values as bytes, and no one's is
    the beginning of another's. `records.order` makes them.
    """

    absent: bool
    cursor: bytes


class Link(msgspec.Struct, frozen=True, gc=False):
    """One place in one record that names a blob. `pointer` is a JSON Pointer (RFC 6901) into the record's data.

    `size` is the blob's, in bytes: sums are made of it.
    """

    digest: Digest
    pointer: str
    media_type: str
    filename: str | None
    size: int


class PlacedLink(msgspec.Struct, frozen=True, gc=False):
    """A link and the record that it stands in."""

    partition: Partition
    key: str
    link: Link


class Put(msgspec.Struct, frozen=True, gc=False):
    """Store a record. `data` is its JSON text as it came."""

    key: str
    sort: SortKey
    data: bytes
    emitted_at: str
    links: tuple[Link, ...] = ()


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove a record and leave a tombstone."""

    key: str
    deleted_at: str
    emitted_at: str


class Outcome(StrEnum):
    """What one mutation did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Batch:
    """Mutations of one partition that commit together, in their order.

    `epoch` is the partition's as read when the request began: an erasure since then fences the batch off.
    `release_epoch` is the connector's as read before the batch's blobs were held, None when it links none.
    `event` goes into the engine's outbox in the same transaction, unless nothing changed.
    `recorder` makes what is remembered of the states that the batch supersedes.
    `fields` are those that the stream's records may have at their top; only who opens a file past the engine reads it.
    """

    partition: Partition
    mutations: Sequence[Put | Delete]
    epoch: int
    release_epoch: int | None
    append_only: bool
    event: bytes | None
    recorder: Recorder
    fields: Sequence[str] = ()


class StoredRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as an engine gives it back. `version` orders the changes of its partition.

    `revisions` tell when each field last changed (see `records.history`); None for a record that never did.
    """

    partition: Partition
    key: str
    sort: SortKey
    data: bytes
    emitted_at: str
    version: int
    linked: bool
    revisions: bytes | None


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a page ended, across partitions: the last record's place in its list."""

    sort: SortKey
    partition: Partition
    key: str


Keep = Callable[[Partition, str, bytes], bool]
"""Whether a record (its partition, key and data) belongs into a page. Runs on the engine's threads: no I/O."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records of a list, in its order. `reached`: where the engine stopped looking; None just when that is the end."""

    records: Sequence[StoredRecord]
    reached: Position | None


class Tombstone(msgspec.Struct, frozen=True, gc=False):
    """What is left of a record that was deleted or erased."""

    key: str
    version: int
    deleted_at: str
    emitted_at: str


class Change(msgspec.Struct, frozen=True, gc=False):
    """A key that changed in a session: what it is now, and what is remembered of it as its client last knew it.

    `before` is what `Recorder.remember` made of that state, cut (`history.redacted`) where an erasure came since; None
    when there was none.
    """

    now: StoredRecord | Tombstone
    before: bytes | None

    @property
    def key(self) -> str:
        """The record's."""
        return self.now.key

    @property
    def version(self) -> int:
        """The one that made it what it is now."""
        return self.now.version


class Overtaken(msgspec.Struct, frozen=True, gc=False):
    """A key that `version` made what it was at the horizon, and that is another now: it cannot be shown as it was."""

    key: str
    version: int


@dataclass(frozen=True, slots=True)
class Changes:
    """A part of a session; all changes up to and with version `reached` are in it, both lists in order of versions."""

    changes: Sequence[Change]
    overtaken: Sequence[Overtaken]
    reached: int


@dataclass(frozen=True, slots=True)
class PartitionStats:
    """What a partition holds. `bytes` counts JSON text. What came before version `floor` is not remembered any more.

    `updated_at` is the newest `emitted_at` (as text) of the records put since the partition was last empty; None when
    it is. Taking the newest record away does not set it back: finding the next one would mean reading them all.
    """

    records: int
    bytes: int
    links: int
    version: int
    updated_at: str | None
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What an erasure covers in one connector: all of it, an instance, a stream of an instance, or one record.

    `consent_field` is the stream's consent-time field, whose value its tombstones keep.
    """

    connector: str
    instance: str | None = None
    stream: str | None = None
    key: str | None = None
    consent_field: str | None = None


@dataclass(frozen=True, slots=True)
class Linking:
    """A partition that links a blob: from what a target covers (`within`), from what it leaves (`beside`), or both."""

    digest: Digest
    partition: Partition
    within: bool
    beside: bool


@dataclass(frozen=True, slots=True)
class Erased:
    """One step of an erasure: what went, and whether more of the target is left."""

    records: int
    bytes: int
    unlinked: frozenset[Digest]
    finished: bool


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event on its way to the spine; `seq` grows within its source and is never used twice there."""

    seq: int
    body: bytes
    source: str
