"""What an erasure covers, what it would do, and what it did: values that go into answers, events and receipts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["record", "stream", "instance", "connector", "owner"]


@dataclass(frozen=True, slots=True)
class Covered:
    """What goes, always of one owner.

    `instances` are those of the connector; of a whole owner neither is named. `everywhere`: a stream or record of all
    instances of the connector, not of the one that is named. `key` is a record's until it is gone,
    then its keyed digest. `consent_field` is the stream's consent-time field, whose value its tombstones keep.
    """

    kind: Kind
    connector: str | None = None
    instances: Sequence[str] = ()
    stream: str | None = None
    key: str | None = None
    consent_field: str | None = None
    everywhere: bool = False

    @property
    def whole(self) -> bool:
        """An instance, or more, goes as a whole and takes no writes any more."""
        return self.stream is None


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who has blobs of what is erased and keeps them: another connector, or another place in the same one.

    Of the same connector the instance is named, and the stream, where it is known. A blob may have several keepers.
    """

    connector: str
    instance: str | None
    stream: str | None
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Blobs, and their bytes, that stay because they are shared, and with whom."""

    blobs: int = 0
    bytes: int = 0
    keepers: Sequence[Keeper] = ()


@dataclass(frozen=True, slots=True)
class StreamRows:
    """Records of one stream of a connector, in all the instances that go."""

    connector: str
    stream: str
    records: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What an erasure would do now: rows by connector and stream, blobs and bytes that go, and what stays."""

    covered: Covered
    rows: Sequence[StreamRows]
    blobs: int
    bytes: int
    kept: Kept

    @property
    def records(self) -> int:
        """All records that go."""
        return sum(each.records for each in self.rows)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trace was found, for the operator: the class of storage, a path in the data directory, an offset."""

    kind: str
    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Residue:
    """What the search for traces of an erasure found (`records.erasure.residue`).

    `samples` were taken before it, `shared` of them stand in living data too and prove nothing. `files` and `bytes`
    were searched, `classes` are these files by the class of their storage; a table of a database server counts as a
    file. `named` blobs that went were looked for by name. `found`: traces by class. `unread` places could not be looked
    into. Counts of files, their classes and `places` are for the operator alone.

    Where nothing went that is distinctive enough to be looked for, `result` says so: nothing is proven then.
    """

    result: Literal["clean", "nothing_sought", "residue", "incomplete"]
    samples: int
    shared: int
    files: int
    bytes: int
    named: int
    classes: dict[str, int]
    found: dict[str, int]
    unread: int
    places: Sequence[Place] = ()

    def member(self) -> dict[str, object]:
        """What a receipt, or an answer, says of it: the same wherever records live."""
        told = asdict(self)
        for physical in ("files", "bytes", "classes", "places"):
            del told[physical]
        return told


@dataclass(frozen=True, slots=True)
class Report:
    """What an erasure did; sizes in bytes. `state` is `running` until all of it is gone, then `done`.

    `kept` is what was shared when it began. `resumed`: how often it was taken up again after it was cut off. `gone`:
    nothing is left to remove but traces in files. `residue`: which of these are left, once they were looked for.
    """

    id: str
    covered: Covered
    requested_at: str
    state: str = "running"
    records: int = 0
    streams: int = 0
    blobs: int = 0
    bytes: int = 0
    kept: Kept = Kept()
    resumed: int = 0
    gone: bool = False
    completed_at: str | None = None
    residue: Residue | None = None

    @property
    def clean(self) -> bool:
        """It is complete, and no trace was found."""
        return self.state == "done" and self.residue is not None and self.residue.result in ("clean", "nothing_sought")


@dataclass(frozen=True, slots=True)
class Erasure:
    """How an erasure stands; `receipt` is a signed document's JSON text, None until it is done."""

    report: Report
    receipt: bytes | None
