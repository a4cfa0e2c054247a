"""Makes a bag: what a connector brought, or all of an owner's, as the engine shows it at one moment."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from blobstore.catalogue import ClaimedBlob, Stored
from blobstore.digest import Content
from blobstore.errors import StorageUnavailable
from records import jsontext
from records.bag import layout
from records.bag.contents import Contents, Text
from records.bag.database import Database
from records.bag.readme import README
from records.central import Instance
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
class _Stream:
    records: int = 0
    content: Content | None = None


@dataclass(slots=True)
class Plan:
    """Writes the members, step by step in the order of its methods. They block."""

    contents: Contents
    selected: Selected
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

    def finish(self) -> None:
        """Write all the rest."""
        self._lists()
        self.contents.add_database(self._database.seal(self.selected.declared))
        self._whole(layout.DECLARATION, b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        self._whole(layout.INFO, self._info())
        self._whole(layout.README, README.encode())
        for algorithm in layout.ALGORITHMS:
            self._manifest(f"manifest-{algorithm}.txt", algorithm, layout.DATA)
        # The manifests of the tag files do not name each other: the list is fixed before the first is written.
        tags = [layout.DECLARATION, layout.INFO, layout.README, *layout.MANIFESTS]
        lines = {
            name: [_entry(name, path, self.contents.member(path).content) for path in sorted(tags)]
            for name in layout.ALGORITHMS
        }
        for algorithm in layout.ALGORITHMS:
            self._whole(f"tagmanifest-{algorithm}.txt", b"".join(lines[algorithm]))

    def _take(self, text: Text, record: StoredRecord, links: Sequence[Link]) -> None:
        if self._stopped:
            raise StorageUnavailable("the export was given up")
        text.write(line_of(record))
        self._database.record(record, links)
        for link in links:
            self.contents.want(link.digest)

    def _lists(self) -> None:
        selected = self.selected
        self._list(
            layout.CONNECTORS,
            (
                {"connector_id": each.manifest.connector_id, "connector": key, "manifest": layout.manifest(key)}
                for key, each in sorted(selected.connectors.items())
            ),
        )
        for key, each in selected.connectors.items():
            self._whole(layout.manifest(key), each.raw)
        self._list(
            layout.INSTANCES,
            (
                {"connector": each.connector, "instance": each.id, "default": each.is_default}
                for each in selected.instances
            ),
        )
        self._list(layout.STREAMS, (self._stream(place) for place in selected.places))
        self._list(layout.STATES, ({**_named(place), "path": layout.state(place)} for place in sorted(selected.states)))
        for place, value in selected.states.items():
            self._whole(layout.state(place), value)
        self._list(layout.ATTACHMENTS, (attachment(*each) for each in self._database.attachments()))
        self._list(
            layout.WAITING,
            (
                {**_named(place), "key": key, "place": where, "blob_id": blob, "media_type": media_type}
                for place, key, where, blob, media_type in self._database.waitings()
            ),
        )
        self._list(layout.BLOBS, (blob_of(each.content) for each in self.contents.members("data/blobs/")))

    def _stream(self, place: Partition) -> dict[str, object]:
        stream = self._streams[place]
        assert stream.content is not None
        return {
            **_named(place),
            "path": layout.records(place),
            "records": stream.records,
            "bytes": stream.content.size,
            "sha256": stream.content.sha256.hex(),
            "blake3": stream.content.digest.hex,
        }

    def _info(self) -> bytes:
        count, size = self.contents.totals(layout.DATA)
        names = [each.manifest.connector_id for _, each in sorted(self.selected.connectors.items())]
        lines = [f"External-Identifier: {names[0]}"] if len(names) == 1 else []
        lines += [
            f"Blobstore-Export-Format: {layout.FORMAT}",
            "External-Description: Records and attached files from a personal data store",
            f"Payload-Oxum: {size}.{count}",
        ]
        return "".join(f"{line}\n" for line in lines).encode()

    def _manifest(self, path: str, algorithm: str, begin: str) -> None:
        with self.contents.text(path) as text:
            for member in self.contents.members(begin):
                text.write(_entry(algorithm, member.path, member.content))

    def _list(self, path: str, objects: Iterator[Mapping[str, object]]) -> None:
        with self.contents.text(path) as text:
            for each in objects:
                text.write(jsontext.encode(each) + b"\n")

    def _whole(self, path: str, data: bytes) -> None:
        with self.contents.text(path) as text:
            text.write(data)


def line_of(record: StoredRecord) -> bytes:
    """A record as it is ingested: one line, its data byte for byte (a line end that JSON allows becomes a space)."""
    data = record.data.replace(b"\n", b" ") if b"\n" in record.data else record.data
    key, emitted_at = jsontext.encode(record.key), jsontext.encode(record.emitted_at)
    return b'{"key":%b,"data":%b,"emitted_at":%b}\n' % (key, data, emitted_at)


def attachment(
    place: Partition, key: str, pointer: str, blob: str, media_type: str, filename: str | None
) -> dict[str, object]:
    """A line of `ATTACHMENTS`."""
    return {
        **_named(place),
        "key": key,
        "pointer": pointer,
        "blob_id": blob,
        "media_type": media_type,
        "filename": filename,
    }


def blob_of(content: Content) -> dict[str, object]:
    """A line of `BLOBS`."""
    return {
        "blob_id": str(content.digest),
        "sha256": content.sha256.hex(),
        "size_bytes": content.size,
        "path": layout.blob(content.digest),
    }


def _named(place: Partition) -> dict[str, object]:
    return {"connector": place.connector, "instance": place.instance, "stream": place.stream}


def _slot(each: ClaimedBlob) -> tuple[Partition, str, str]:
    instance, stream, key, where = parse(each.claim.slot)
    return Partition(each.claim.holder, instance, stream), key, where


def _entry(algorithm: str, path: str, content: Content) -> bytes:
    digest = content.digest.hex if algorithm == "blake3" else content.sha256.hex()
    return f"{digest}  {path}\n".encode()
