"""Whether a bag is one that an export made, to the last file and the last line; nothing is stored meanwhile.

After its manifests (`manifests`), lists and records are read as what they will become; what follows from
records and files (the lists of attachments and blobs) is made again and must be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from blobstore.digest import Digest, Hasher
from blobstore.errors import InvalidBlobId
from records import jsontext
from records.bag import layout
from records.bag.layout import TAGS
from records.bag.lines import (
    AttachmentLine,
    BlobLine,
    ConnectorLine,
    InstanceLine,
    Placed,
    StateLine,
    StreamLine,
    WaitingLine,
    line_of,
    read,
    written,
)
from records.bag.manifests import check_manifests
from records.bag.spine import check_spine
from records.bag.survey import Survey
from records.errors import BadBag, Invalid
from records.keys import MAX_BYTES as MAX_KEY
from records.manifest import MAX_BYTES, Manifest, StreamDeclaration, decode, require_id
from records.model import Partition
from records.slots import WHOLE_RECORD
from records.writing.lines import MAX_LINE, ParsedPut, Rejected, parse_line
from records.writing.links import BlobRef, find, media_type

MAX_CONNECTORS = 1000
MAX_MANIFESTS = 64 << 20
"""Bytes of all manifests: they are held while the bag is looked at and loaded."""

MAX_INSTANCES = 100_000
MAX_STATE = 16 << 20
LONGEST = MAX_LINE + 4096
"""Bytes of a line of records: an export may spell a key a little longer than it came."""

_SHORT = 1000
"""Bytes of the smallest files, and characters of what a message repeats."""

_LISTS = (
    layout.CONNECTORS,
    layout.INSTANCES,
    layout.STREAMS,
    layout.STATES,
    layout.ATTACHMENTS,
    layout.WAITING,
    layout.BLOBS,
    layout.DATABASE,
)

_EXPLAINED = 4


@dataclass(slots=True)
class Checked:
    """What a good bag holds.

    `manifests` as registered, by connector; `instances` with their connector and whether each is its default. `skipped`
    counts records of streams that no manifest declares any more, and their states: they cannot be stored.
    """

    manifests: dict[str, bytes] = field(default_factory=dict)
    instances: dict[str, tuple[str, bool]] = field(default_factory=dict)
    records: int = 0
    skipped: int = 0

    def declaration(self, line: Placed) -> StreamDeclaration | None:
        """How its manifest declares a stream. Raises `BadBag` for an instance that is not in the bag."""
        if self.instances.get(line.instance, ("",))[0] != line.connector:
            raise BadBag(f"{line.instance!r} is no instance of {line.connector!r} in it")
        return decoded(self.manifests[line.connector]).streams.get(line.stream)


@lru_cache(maxsize=32)
def decoded(raw: bytes) -> Manifest:
    """A connector's manifest. Raises `BadBag`."""
    try:
        return decode(raw)
    except Invalid as error:
        raise BadBag(f"a manifest is none: {error}") from None


def check(survey: Survey) -> Checked:
    """Look at everything. Raises `BadBag`."""
    check_manifests(survey)
    for path in (*TAGS, *layout.TAG_MANIFESTS):
        survey.mark(path, _EXPLAINED)
    checked = _Checker(survey).run()
    unexplained = survey.unmarked("", _EXPLAINED)
    if unexplained is not None:
        raise BadBag(f"nothing in it explains {unexplained}")
    return checked


class _Checker:
    """Reads lists and records in the order in which they explain each other."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._found = Checked()
        self._attachments = Hasher()

    def run(self) -> Checked:
        for path in _LISTS:
            self._explained(path)
        self._connectors()
        self._instances()
        self._streams()
        self._states()
        self._waiting()
        self._blobs()
        if self._survey.has(layout.SPINE) or self._survey.has(layout.CHECKPOINT):
            for path in (layout.SPINE, layout.CHECKPOINT):
                self._explained(path)
            check_spine(self._survey)
        return self._found

    def _connectors(self) -> None:
        held = 0
        for raw in self._survey.lines(layout.CONNECTORS):
            line = read(raw, ConnectorLine)
            if line.connector in self._found.manifests or len(self._found.manifests) >= MAX_CONNECTORS:
                raise BadBag(f"a connector is in it twice, or there are over {MAX_CONNECTORS:,}")
            self._explained(line.manifest, layout.manifest(line.connector))
            manifest = self._survey.whole(line.manifest, MAX_BYTES)
            held += len(manifest)
            if held > MAX_MANIFESTS:
                raise BadBag(f"its manifests have over {MAX_MANIFESTS:,} bytes")
            if (decoded(manifest).connector_id, decoded(manifest).key) != (line.connector_id, line.connector):
                raise BadBag(f"{line.manifest} is the manifest of another connector")
            self._found.manifests[line.connector] = manifest

    def _instances(self) -> None:
        defaults = set()
        for raw in self._survey.lines(layout.INSTANCES):
            line = read(raw, InstanceLine)
            try:
                require_id(line.instance, "instance")
            except Invalid as error:
                raise BadBag(str(error)) from None
            if line.connector not in self._found.manifests or line.instance in self._found.instances:
                raise BadBag(f"the instance {line.instance!r} is in it twice, or is one of nothing")
            if line.default and line.connector in defaults:
                raise BadBag(f"{line.connector!r} has two default instances")
            if line.default:
                defaults.add(line.connector)
            if len(self._found.instances) >= MAX_INSTANCES:
                raise BadBag(f"it has over {MAX_INSTANCES:,} instances")
            self._found.instances[line.instance] = line.connector, line.default

    def _streams(self) -> None:
        last: Partition | None = None
        for raw in self._survey.lines(layout.STREAMS):
            line = read(raw, StreamLine)
            if last is not None and line.partition <= last:
                raise BadBag("its streams are not in order")
            last = line.partition
            declaration = self._found.declaration(line)
            self._explained(line.path, layout.records(last))
            if line != StreamLine.of(last, line.records, self._survey.content(line.path)):
                raise BadBag(f"{line.path} is not what {layout.STREAMS} says")
            self._records(line, declaration)
        if self._attachments.finish() != self._survey.content(layout.ATTACHMENTS):
            raise BadBag(f"{layout.ATTACHMENTS} is not the list of what its records name")

    def _records(self, line: StreamLine, declaration: StreamDeclaration | None) -> None:
        count, last = 0, ""
        for raw in self._survey.lines(line.path, LONGEST):
            count += 1
            if declaration is None:
                self._undeclared(line.partition, raw)
                continue
            record = _record(raw, declaration, f"{line.path}, line {count}")
            if record.key <= last:
                raise BadBag(f"{line.path}, line {count}: its keys are not in order, or one is there twice")
            last = record.key
            self._linked(line.partition, record.key, record.refs)
        if count != line.records:
            raise BadBag(f"{line.path} has {count:,} records, and {line.records:,} are declared")
        self._found.records += count if declaration is not None else 0
        self._found.skipped += count if declaration is None else 0

    def _undeclared(self, place: Partition, raw: bytes) -> None:
        """Nothing can judge its key; what it names must be there all the same."""
        try:
            line = _line.decode(raw)
            refs = find(jsontext.decode(line.data))
        except (ValueError, RecursionError, Invalid) as error:
            raise BadBag(f"a record of {place.stream!r} is none: {error}") from None
        self._linked(place, line.key, refs)

    def _linked(self, place: Partition, key: str, refs: Sequence[BlobRef]) -> None:
        for ref in sorted(refs, key=lambda each: each.pointer):
            blob = self._blob(ref.digest, ref.sha256)
            line = AttachmentLine.of(place, key, ref.pointer, str(blob), ref.media_type, ref.filename)
            self._attachments.update(written(line))

    def _states(self) -> None:
        for raw in self._survey.lines(layout.STATES):
            line = read(raw, StateLine)
            self._explained(line.path, layout.state(line.partition))
            self._found.skipped += self._found.declaration(line) is None
            try:
                jsontext.decode(self._survey.whole(line.path, MAX_STATE))
            except (ValueError, RecursionError) as error:
                raise BadBag(f"{line.path} is no JSON: {error}") from None

    def _waiting(self) -> None:
        for raw in self._survey.lines(layout.WAITING):
            line = read(raw, WaitingLine)
            self._found.declaration(line)
            try:
                self._blob(Digest.parse(line.blob_id), None)
                good = media_type(line.media_type) == line.media_type
            except (InvalidBlobId, Invalid) as error:
                raise BadBag(f"a line of {layout.WAITING}: {error}") from None
            if not good or not 0 < len(line.key.encode()) <= MAX_KEY or not _is_place(line.place):
                raise BadBag(f"{layout.WAITING} has a line that no upload makes")

    def _blobs(self) -> None:
        listed = Hasher()
        for path in self._survey.paths(layout.BLOB_FOLDER):
            content = self._survey.content(path)
            if layout.blob(content.digest) != path:
                raise BadBag(f"{path} is not the file that it is called by")
            listed.update(written(BlobLine.of(content)))
        if listed.finish() != self._survey.content(layout.BLOBS):
            raise BadBag(f"{layout.BLOBS} is not the list of its blobs")

    def _blob(self, digest: Digest | None, sha256: bytes | None) -> Digest:
        """The digest of a blob that is named, and thereby explained."""
        if digest is None:
            digest = self._survey.blob_by_sha256(sha256 or b"")
        if digest is None:
            raise BadBag("a blob that a record names by its SHA-256 is missing")
        self._survey.mark(layout.blob(digest), _EXPLAINED)
        return digest

    def _explained(self, path: str, expected: str | None = None) -> None:
        if expected not in (None, path):
            raise BadBag(f"{path[:_SHORT]!r} is not where an export puts it")
        if not self._survey.mark(path, _EXPLAINED):
            raise BadBag(f"{path} is listed twice")


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    data: msgspec.Raw
    emitted_at: str


_line = msgspec.json.Decoder(_Line)


def _record(raw: bytes, declaration: StreamDeclaration, where: str) -> ParsedPut:
    """A line of records. Raises `BadBag` unless it is as an export writes it."""
    try:
        record = parse_line(raw, declaration)
    except Rejected as error:
        raise BadBag(f"{where}: {error.message[:_SHORT]}") from None
    if not isinstance(record, ParsedPut) or line_of(record.key, record.data, record.emitted_at) != raw + b"\n":
        raise BadBag(f"{where}: it is spelled in another way than an export does")
    return record


def _is_place(text: str) -> bool:
    return text == WHOLE_RECORD or text.startswith("/")
