"""What was acknowledged while processes were killed, and what may be there because nobody was told of its end."""

import os
import random
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = re.compile(rb"MARK[0-9a-f]{16}")


def mark(rng: random.Random) -> str:
    """A text that stands nowhere else: what was written with it is found in any file."""
    return "MARK" + rng.randbytes(8).hex()


def marks_in(folder: Path) -> set[str]:
    """Every mark that any file shows, at any offset."""
    found: set[bytes] = set()
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # it went meanwhile
                found |= set(MARK.findall(Path(root, name).read_bytes()))
    return {each.decode() for each in found}


@dataclass(frozen=True, slots=True)
class Blob:
    """An upload: its id, what its bytes hash to, and the mark in them (None: others upload the same bytes)."""

    id: str
    sha256: str
    size: int
    mark: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands; `instance` is None for the default one."""

    connector: str
    instance: str | None
    stream: str
    key: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a record says."""

    mark: str
    blobs: tuple[Blob, ...]


@dataclass(slots=True)
class Known:
    """What a place may hold: one content once it is acknowledged, several while a change is under way; None: nothing.

    `changes` counts, so that whoever looked knows whether it changed meanwhile.
    """

    allowed: set[Content | None] = field(default_factory=lambda: {None})
    changes: int = 0

    def trying(self, content: Content | None) -> None:
        """From now on it may be this as well."""
        self.allowed.add(content)
        self.changes += 1

    def acknowledged(self, content: Content | None) -> None:
        """It is this and nothing else."""
        self.allowed = {content}
        self.changes += 1


@dataclass(slots=True)
class Count:
    """How many were sent, and how many of them were acknowledged."""

    sent: int = 0
    acknowledged: int = 0


@dataclass(slots=True)
class Acknowledged:
    """The whole of it, over all connectors."""

    tokens: dict[str, str] = field(default_factory=dict)
    """Owner tokens, and whose they are."""
    records: dict[Place, Known] = field(default_factory=dict)
    uploads: dict[str, dict[str, Blob]] = field(default_factory=dict)
    """Blobs that are claimed and never erased, by connector."""
    states: dict[str, set[str | None]] = field(default_factory=dict)
    """What the sync state of a connector that is never erased may be."""
    erased: set[str] = field(default_factory=set)
    """Marks of what an acknowledged erasure took."""
    going: set[str] = field(default_factory=set)
    """Marks of what goes by an erasure that was begun, and whose end nobody was told."""
    erasures: set[str] = field(default_factory=set)
    """Ids of acknowledged erasures."""
    puts: dict[str, Count] = field(default_factory=dict)
    deletes: dict[str, Count] = field(default_factory=dict)
    blobs: dict[str, Count] = field(default_factory=dict)
    grants: dict[str, set[str]] = field(default_factory=dict)
    """What the status of a grant may be."""
    backups: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """How often each kind of request was acknowledged."""

    def known(self, place: Place) -> Known:
        """What is known of a place."""
        return self.records.setdefault(place, Known())

    def sending(self, what: dict[str, Count], connector: str, number: int = 1) -> Count:
        """Note that so many mutations are on their way."""
        count = what.setdefault(connector, Count())
        count.sent += number
        return count

    def living_marks(self) -> set[str]:
        """Marks of what is surely there."""
        certain = [next(iter(known.allowed)) for known in self.records.values() if len(known.allowed) == 1]
        return {content.mark for content in certain if content is not None}


def wrong_on_spine(acknowledged: Acknowledged, events: Iterable[dict[str, object]]) -> list[str]:
    """What is acknowledged and not on the spine, or there more often than it was sent."""
    puts: Counter[str] = Counter()
    deletes: Counter[str] = Counter()
    uploads: dict[str, Counter[str]] = {}
    finished: Counter[str] = Counter()
    for event in events:
        connector = str(event.get("connector"))
        match event["kind"]:
            case "records.ingest":
                puts[connector] += int(str(event["puts"]))
                deletes[connector] += int(str(event["deletes"]))
            case "blob.upload":
                uploads.setdefault(connector, Counter())[str(event["blob_id"])] += 1
            case "erasure.done":
                finished[str(event["erasure"])] += 1
    wrong = [
        f"{what} of {connector}: {on_spine[connector]} on the spine, {count}"
        for what, counts, on_spine in (
            ("puts", acknowledged.puts, puts),
            ("deletes", acknowledged.deletes, deletes),
            ("uploads", acknowledged.blobs, Counter({each: of.total() for each, of in uploads.items()})),
        )
        for connector, count in counts.items()
        if not count.acknowledged <= on_spine[connector] <= count.sent
    ]
    for connector, blobs in acknowledged.uploads.items():
        wrong += [f"the upload of {blob} to {connector}" for blob in blobs if not uploads[connector][blob]]
    wrong += [f"the end of {erasure}" for erasure in acknowledged.erasures if finished[erasure] != 1]
    return wrong
