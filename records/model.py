"""The values that records are made of, the same above and below the engine port."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from blobstore.digest import Digest


class Order(StrEnum):
    """Direction of a list by (cursor field, key); records without the cursor field come last in both."""

    ASC = "asc"
    DESC = "desc"


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """Where records of one kind live together: one stream of one instance of one connector."""

    connector: str
    instance: str
    stream: str


@dataclass(frozen=True, slots=True, order=True)
class SortKey:
    """A record's place in its stream; compares as the list order does, ascending.

    `absent` is true for records without the cursor field. `encoded` keeps the order of (cursor value, key) as bytes,
    and ends with the key. `records.order` makes them.
    """

    absent: bool
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """One place in one record that names a blob. `pointer` is a JSON Pointer (RFC 6901) into the record's data."""

    digest: Digest
    pointer: str
    media_type: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PlacedLink:
    """A link and the record that it stands in."""

    partition: Partition
    key: str
    link: Link


@dataclass(frozen=True, slots=True)
class Put:
    """Store a record. `data` is its JSON text as it came; `fingerprint` is equal exactly for equal content."""

    key: str
    sort: SortKey
    data: bytes
    emitted_at: str
    fingerprint: bytes
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
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

    `epoch` is the instance's as read when the request began: an erasure since then fences the batch off.
    `release_epoch` is the connector's as read before the batch's blobs were held, None when it links none.
    `event` goes into the engine's outbox in the same transaction, unless nothing changed.
    """

    partition: Partition
    mutations: Sequence[Put | Delete]
    epoch: int
    release_epoch: int | None
    append_only: bool
    event: bytes | None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as an engine gives it back. `version` orders the changes of its partition."""

    partition: Partition
    key: str
    sort: SortKey
    data: bytes
    emitted_at: str
    version: int
    linked: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended, across partitions: the last record's sort key, partition and key."""

    sort: SortKey
    partition: Partition
    key: str


@dataclass(frozen=True, slots=True)
class PartitionStats:
    """What a partition holds. `bytes` counts JSON text.

    `updated_at` is the newest `emitted_at` (as text) of the records put since the partition was last empty; None when
    it is. Taking the newest record away does not set it back: finding the next one would mean reading them all.
    """

    records: int
    bytes: int
    links: int
    version: int
    updated_at: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """What an erasure covers in one connector: all of it, an instance, a stream of an instance, or one record."""

    connector: str
    instance: str | None = None
    stream: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """One step of an erasure: what went, and whether more of the target is left."""

    records: int
    bytes: int
    unlinked: frozenset[Digest]
    finished: bool


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event on its way to the spine; `seq` grows within one engine and is never used twice."""

    seq: int
    body: bytes
