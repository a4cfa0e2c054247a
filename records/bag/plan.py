"""Makes a bag: what a connector brought, or all of an owner's, as the engine shows it at one moment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from blobstore.catalogue import ClaimedBlob, Stored
from blobstore.digest import Content
from blobstore.errors import StorageUnavailable
from records.bag import layout
from records.bag.contents import Contents, Text
from records.bag.database import Database
from records.bag.lines import (
    BlobLine,
    ConnectorLine,
    InstanceLine,
    SpineLine,
    StateLine,
    StreamLine,
    digest_in,
    line_of,
    written,
)
from records.bag.readme import README
from records.central import Instance, SpineEvent
from records.manifest import StreamDeclaration
from records.model import Link, Partition, StoredRecord
from records.registry import Registration
from records.slots import parse

Linked = tuple[StoredRecord, Sequence[Link]]


@dataclass(frozen=True, slots=True)
class Selected:
    """What an export is of: living connectors by key, their living instances, their sync state by stream."""

    connectors: Mapping[str, Registration]
    instances: Sequence[Instance]
    states: Mapping[Partition, bytes]
    filled: frozenset[Partition]
    """Partitions that were written to, also of streams that no manifest declares any more."""

    @property
    def places(self) -> list[Partition]:
        """Every stream of every instance, in order; also those without a record."""
        declared = {
            Partition(each.connector, each.id, stream)
            for each in self.instances
            for stream in self.connectors[each.connector].manifest.streams
        }
        return sorted(declared | self.filled | set(self.states))

    @property
    def declared(self) -> dict[tuple[str, str], list[StreamDeclaration]]:
        """Declarations by connector and name of the stream."""
        found: defaultdict[tuple[str, str], list[StreamDeclaration]] = defaultdict(list)
        for key, each in self.connectors.items():
            for name, declaration in each.manifest.streams.items():
                found[key, name].append(declaration)
        return found


@dataclass(slots=True)
class Progress:
    """How far a plan has come; may be read at any moment, from any thread.

    Of `expected` records (as many as there were when it began) so many `records` were seen. `is_seen` says that all of
    them were: then it is worked out what the files are, which takes a tenth of the time.
    """

    records: int = 0
    expected: int = 0
    is_seen: bool = False


@dataclass(slots=True)
class _Stream:
    records: int = 0
    content: Content | None = None


@dataclass(slots=True)
class Plan:
    """Writes the members, step by step in the order of its methods. They block."""

    contents: Contents
    selected: Selected
    progress: Progress = field(default_factory=Progress)
    _streams: dict[Partition, _Stream] = field(default_factory=dict)
    _database: Database = field(init=False)
    _stopped: bool = False

    def __post_init__(self) -> None:
        self._database = Database(self.contents.database)
        for key, registration in sorted(self.selected.connectors.items()):
            self._database.connector(key, registration.raw)
        for place in self.selected.places:
            self._database.stream(place)

    def see(self, records: Iterable[Linked]) -> None:
        """Take the records of all places, in the order of partitions and keys."""
        coming = iter(records)
        ahead = next(coming, None)
        for place in self.selected.places:
            stream = self._streams[place] = _Stream()
            with self.contents.text(layout.records(place)) as text:
                while ahead is not None and ahead[0].partition == place:
                    self._take(text, *ahead)
                    stream.records += 1
                    ahead = next(coming, None)
            stream.content = text.content
        self.progress.is_seen = True

    def stop(self) -> None:
        """From any thread: `see` ends early, by an error."""
        self._stopped = True

    def wait(self, claims: Sequence[ClaimedBlob]) -> None:
        """Take uploads whose record has not come, in the order of slots; those of other instances are left out."""
        for each in claims:
            place, key, where = _slot(each)
            if place in self._streams:
                self._database.waiting(place, key, where, str(each.digest), each.claim.media_type)
                self.contents.want(each.digest)

    def store(self, blobs: Sequence[Stored]) -> None:
        """Take what is stored of what is wanted, in the order of digests."""
        for stored in blobs:
            self._database.blob(stored)
            self.contents.add_blob(stored)

    def tell(self, text: Text, events: Sequence[SpineEvent]) -> None:
        """Write events of the spine."""
        for event in events:
            text.write(written(SpineLine.of(event)))

    def finish(self) -> None:
        """Write all the rest."""
        self._lists()
        self.contents.add_database(self._database.seal(self.selected.declared))
        self.whole(layout.DECLARATION, layout.DECLARED)
        self.whole(layout.INFO, self._info())
        self.whole(layout.README, README.encode())
        for algorithm in layout.ALGORITHMS:
            self._manifest(f"manifest-{algorithm}.txt", algorithm, layout.DATA)
        # The manifests of the tag files do not name each other: the list is fixed before the first is written.
        lines = {
            name: [_entry(name, path, self.contents.member(path).content) for path in sorted(layout.TAGS)]
            for name in layout.ALGORITHMS
        }
        for algorithm in layout.ALGORITHMS:
            self.whole(f"tagmanifest-{algorithm}.txt", b"".join(lines[algorithm]))

    def _take(self, text: Text, record: StoredRecord, links: Sequence[Link]) -> None:
        if self._stopped:
            raise StorageUnavailable("the export was given up")
        text.write(line_of(record.key, record.data, record.emitted_at))
        self._database.record(record, links)
        self.progress.records += 1
        for link in links:
            self.contents.want(link.digest)

    def _lists(self) -> None:
        connectors = sorted(self.selected.connectors.items())
        self._list(
            layout.CONNECTORS,
            (ConnectorLine(each.manifest.connector_id, key, layout.manifest(key)) for key, each in connectors),
        )
        for key, each in connectors:
            self.whole(layout.manifest(key), each.raw)
        self._list(
            layout.INSTANCES,
            (InstanceLine(each.connector, each.id, each.is_default) for each in self.selected.instances),
        )
        self._list(layout.STREAMS, (self._stream(place) for place in self.selected.places))
        self._list(layout.STATES, (StateLine.of(place) for place in sorted(self.selected.states)))
        for place, value in self.selected.states.items():
            self.whole(layout.state(place), value)
        self._list(layout.ATTACHMENTS, self._database.attachments())
        self._list(layout.WAITING, self._database.waitings())
        self._list(layout.BLOBS, (BlobLine.of(each.content) for each in self.contents.members(layout.BLOB_FOLDER)))

    def _stream(self, place: Partition) -> StreamLine:
        stream = self._streams[place]
        assert stream.content is not None
        return StreamLine.of(place, stream.records, stream.content)

    def _info(self) -> bytes:
        count, size = self.contents.totals(layout.DATA)
        names = [each.manifest.connector_id for _, each in sorted(self.selected.connectors.items())]
        lines = [f"External-Identifier: {names[0]}"] if len(names) == 1 else []
        lines += [
            layout.FORMAT_LINE,
            "External-Description: Records and attached files from a personal data store",
            layout.oxum(size, count),
        ]
        return "".join(f"{line}\n" for line in lines).encode()

    def _manifest(self, path: str, algorithm: str, begin: str) -> None:
        with self.contents.text(path) as text:
            for member in self.contents.members(begin):
                text.write(_entry(algorithm, member.path, member.content))

    def _list(self, path: str, lines: Iterable[msgspec.Struct]) -> None:
        with self.contents.text(path) as text:
            for line in lines:
                text.write(written(line))

    def whole(self, path: str, data: bytes) -> None:
        """Write a file that is at hand."""
        with self.contents.text(path) as text:
            text.write(data)


def _slot(each: ClaimedBlob) -> tuple[Partition, str, str]:
    instance, stream, key, where = parse(each.claim.slot)
    return Partition(each.claim.holder, instance, stream), key, where


def _entry(algorithm: str, path: str, content: Content) -> bytes:
    return f"{digest_in(algorithm, content)}  {path}\n".encode()
