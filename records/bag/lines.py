"""Lines of a bag's lists, the same for who writes and who reads them. No I/O."""

from typing import TypeVar

import msgspec

from blobstore.digest import Content
from records import jsontext
from records.bag import layout
from records.central import SpineEvent
from records.errors import BadBag
from records.model import Partition

L = TypeVar("L")


class ConnectorLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `layout.CONNECTORS`: its id, its key, and where its manifest is."""

    connector_id: str
    connector: str
    manifest: str


class InstanceLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `layout.INSTANCES`."""

    connector: str
    instance: str
    default: bool


class Placed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every line about a stream of an instance begins with."""

    connector: str
    instance: str
    stream: str

    @property
    def partition(self) -> Partition:
        """The stream."""
        return Partition(self.connector, self.instance, self.stream)


class StreamLine(Placed, frozen=True, forbid_unknown_fields=True):
    """Of `layout.STREAMS`: where its records are, how many, and what file that is."""

    path: str
    records: int
    bytes: int
    sha256: str
    blake3: str

    @classmethod
    def of(cls, place: Partition, records: int, content: Content) -> "StreamLine":
        """The line of a stream."""
        digests = content.sha256.hex(), content.digest.hex
        return cls(*_names(place), layout.records(place), records, content.size, *digests)


class StateLine(Placed, frozen=True, forbid_unknown_fields=True):
    """Of `layout.STATES`: where its sync state is."""

    path: str

    @classmethod
    def of(cls, place: Partition) -> "StateLine":
        """The line of a stream's state."""
        return cls(*_names(place), layout.state(place))


class AttachmentLine(Placed, frozen=True, forbid_unknown_fields=True):
    """Of `layout.ATTACHMENTS`: a place in a record that names a blob."""

    key: str
    pointer: str
    blob_id: str
    media_type: str
    filename: str | None

    @classmethod
    def of(
        cls, place: Partition, key: str, pointer: str, blob_id: str, media_type: str, filename: str | None
    ) -> "AttachmentLine":
        """The line of a link."""
        return cls(*_names(place), key, pointer, blob_id, media_type, filename)


class WaitingLine(Placed, frozen=True, forbid_unknown_fields=True):
    """Of `layout.WAITING`: a blob that was uploaded for a place in a record that has not come."""

    key: str
    place: str
    blob_id: str
    media_type: str


class BlobLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `layout.BLOBS`."""

    blob_id: str
    sha256: str
    size_bytes: int
    path: str

    @classmethod
    def of(cls, content: Content) -> "BlobLine":
        """The line of a blob."""
        return cls(str(content.digest), content.sha256.hex(), content.size, layout.blob(content.digest))


class SpineLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `layout.SPINE`: an event as `GET /v1/owner/spine` shows it; `body` is its JSON text to the letter."""

    seq: int
    at: str
    body: msgspec.Raw
    previous: str
    hash: str

    @classmethod
    def of(cls, event: SpineEvent) -> "SpineLine":
        """The line of an event."""
        return cls(event.seq, event.at, msgspec.Raw(event.body), event.previous.hex(), event.hash.hex())

    def event(self) -> SpineEvent:
        """The event of a line. Raises `BadBag`."""
        try:
            hashes = bytes.fromhex(self.previous), bytes.fromhex(self.hash)
        except ValueError:
            raise BadBag("an event of the audit log has no hash") from None
        return SpineEvent(self.seq, self.at, bytes(self.body), *hashes)


def written(line: msgspec.Struct) -> bytes:
    """The line as it stands in a bag."""
    return jsontext.encode(line) + b"\n"


def read(raw: bytes, kind: type[L]) -> L:
    """A line without its end. Raises `BadBag` unless it is as `written` writes it."""
    try:
        line = msgspec.json.decode(raw, type=kind)
        spelled = jsontext.encode(line)
    except (ValueError, RecursionError) as error:
        raise BadBag(f"a line of a list is not what it should be: {error}") from None
    if spelled != raw:
        raise BadBag("a line of a list is spelled in another way than an export does")
    return line


def line_of(key: str, data: bytes, emitted_at: str) -> bytes:
    """A record as it is ingested: one line, its data byte for byte (a line end that JSON allows becomes a space)."""
    data = data.replace(b"\n", b" ") if b"\n" in data else data
    return b'{"key":%b,"data":%b,"emitted_at":%b}\n' % (jsontext.encode(key), data, jsontext.encode(emitted_at))


def digest_in(algorithm: str, content: Content) -> str:
    """What a manifest of this algorithm (`layout.ALGORITHMS`) says of a file."""
    return content.digest.hex if algorithm == "blake3" else content.sha256.hex()


def _names(place: Partition) -> tuple[str, str, str]:
    return place.connector, place.instance, place.stream
