"""`records.sqlite` of a bag: all records as a database for people, one view for each stream.

Tables: `connectors`, `streams` (of an account of a connector), `records`, `blobs` (attached files), `attachments`
(which record names which of them, under which name) and `waiting` (uploaded for records that have not come). A view has
a stream's records of all accounts, with a column for each field that its schema declares; `_id` is the record's in
`records`, where its whole data stand. Opens in Datasette, and in any SQLite of 2022 (3.38) or newer.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from blobstore.catalogue import Stored
from blobstore.scratch import ScratchDatabase
from records.bag import layout
from records.bag.lines import AttachmentLine, WaitingLine
from records.manifest import StreamDeclaration
from records.model import Link, Partition, StoredRecord

MAX_COLUMNS = 500
"""Fields of a stream that its view shows: SQLite takes some hundred more."""

_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_TABLES = """
CREATE TABLE connectors (id INTEGER PRIMARY KEY, name TEXT NOT NULL, manifest TEXT NOT NULL);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, connector INTEGER NOT NULL REFERENCES connectors (id),
    instance TEXT NOT NULL
);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams (id), key TEXT NOT NULL,
    emitted_at TEXT NOT NULL, data TEXT NOT NULL
);
CREATE TABLE blobs (
    blob_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, path TEXT NOT NULL
);
CREATE TABLE attachments (
    id INTEGER PRIMARY KEY, record INTEGER NOT NULL REFERENCES records (id), pointer TEXT NOT NULL,
    blob TEXT NOT NULL REFERENCES blobs (blob_id), media_type TEXT NOT NULL, filename TEXT
);
CREATE TABLE waiting (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams (id), key TEXT NOT NULL,
    place TEXT NOT NULL, blob TEXT NOT NULL REFERENCES blobs (blob_id), media_type TEXT NOT NULL
);
CREATE INDEX records_by_stream ON records (stream, key);
CREATE INDEX attachments_by_record ON attachments (record);
CREATE INDEX attachments_by_blob ON attachments (blob);
"""
# Indexes from the start: to make one later takes a sort, which SQLite does in memory or in files of its own.

_TAKEN = ("connectors", "streams", "records", "blobs", "attachments", "waiting")


class Database:
    """Writes it, in the order in which its parts are given. Calls block; one thread at a time."""

    def __init__(self, scratch: ScratchDatabase) -> None:
        self._scratch = scratch
        for statement in _TABLES.split(";\n"):
            self._scratch.execute(statement)
        self._connectors: dict[str, int] = {}
        self._streams: dict[Partition, int] = {}

    def connector(self, name: str, manifest: bytes) -> None:
        """Add a connector."""
        number = self._connectors[name] = len(self._connectors) + 1
        self._scratch.execute("INSERT INTO connectors VALUES (?, ?, CAST(? AS TEXT))", (number, name, manifest))

    def stream(self, place: Partition) -> None:
        """Add a stream of an account; its connector is there."""
        number = self._streams[place] = len(self._streams) + 1
        connector = self._connectors[place.connector]
        self._scratch.execute(
            "INSERT INTO streams VALUES (?, ?, ?, ?)", (number, place.stream, connector, place.instance)
        )

    def record(self, record: StoredRecord, links: Sequence[Link]) -> None:
        """Add a record and what is attached to it; its stream is there."""
        row = (self._streams[record.partition], record.key, record.emitted_at, record.data)
        number = self._scratch.execute(_RECORD, row).lastrowid
        for link in links:
            blob = str(link.digest)
            self._scratch.execute(_ATTACHMENT, (number, link.pointer, blob, link.media_type, link.filename))

    def blob(self, stored: Stored) -> None:
        """Add an attached file."""
        digest = stored.name.digest
        row = (str(digest), stored.sha256.hex(), stored.size, layout.blob(digest))
        self._scratch.execute("INSERT INTO blobs VALUES (?, ?, ?, ?)", row)

    def waiting(self, place: Partition, key: str, where: str, blob: str, media_type: str) -> None:
        """Add a file that was uploaded for a record that has not come; its stream is there."""
        self._scratch.execute(_WAITING, (self._streams[place], key, where, blob, media_type))

    def attachments(self) -> Iterator[AttachmentLine]:
        """In the order of streams, keys and pointers."""
        places = {number: place for place, number in self._streams.items()}
        for stream, key, *link in self._scratch.execute(_ATTACHMENTS):
            yield AttachmentLine.of(places[stream], key, *link)

    def waitings(self) -> Iterator[WaitingLine]:
        """In the order in which they were added."""
        places = {number: place for place, number in self._streams.items()}
        for stream, *rest in self._scratch.execute(_WAITINGS):
            place = places[stream]
            yield WaitingLine(place.connector, place.instance, place.stream, *rest)

    def seal(self, declared: Mapping[tuple[str, str], Collection[StreamDeclaration]]) -> int:
        """Add the views and finish the file; its size in bytes. `declared`: by connector and name of a stream."""
        names = _Names(_TAKEN)
        several = len(self._connectors) > 1
        for (connector, stream), numbers in _grouped(self._streams).items():
            fields = [field for each in declared.get((connector, stream), ()) for field in each.fields]
            title = f"{stream} ({connector})" if several else stream
            self._scratch.execute(_view(names.free(title), numbers, fields))
        return self._scratch.seal()


class _Names:
    """Names that nothing else has: SQLite does not tell upper from lower case."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {name.lower() for name in taken}

    def free(self, name: str) -> str:
        """The name, made different from those before it where it is not."""
        name = _CONTROL.sub("�", name)
        if name.lower().startswith("sqlite_"):
            name = f"_{name}"
        free, number = name, 1
        while free.lower() in self._taken:
            number += 1
            free = f"{name} {number}"
        self._taken.add(free.lower())
        return free


def _grouped(streams: Mapping[Partition, int]) -> dict[tuple[str, str], list[int]]:
    groups: dict[tuple[str, str], list[int]] = {}
    for place, number in streams.items():
        groups.setdefault((place.connector, place.stream), []).append(number)
    return groups


def _view(name: str, streams: Sequence[int], fields: Sequence[str]) -> str:
    columns = [
        ("_id", "r.id"),
        ("_instance", "s.instance"),
        ("_key", "r.key"),
        ("_emitted_at", "r.emitted_at"),
        *((field, _value(field)) for field in fields[:MAX_COLUMNS]),
    ]
    names = _Names(())
    shown = ", ".join(f"{sql} AS {_quoted(names.free(column))}" for column, sql in columns)
    numbers = ", ".join(map(str, streams))
    return (
        f"CREATE VIEW {_quoted(name)} AS SELECT {shown} FROM records r JOIN streams s ON s.id = r.stream"
        f" WHERE r.stream IN ({numbers})"
    )


def _value(field: str) -> str:
    """What gets a field out of a record's data; no name of a field can be anything but a name there."""
    if _SIMPLE.match(field):
        return f"r.data ->> '{field}'"
    return f"(SELECT value FROM json_each(r.data) WHERE key = CAST(x'{field.encode().hex()}' AS TEXT))"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_RECORD = "INSERT INTO records (stream, key, emitted_at, data) VALUES (?, ?, ?, CAST(? AS TEXT))"
_ATTACHMENT = "INSERT INTO attachments (record, pointer, blob, media_type, filename) VALUES (?, ?, ?, ?, ?)"
_WAITING = "INSERT INTO waiting (stream, key, place, blob, media_type) VALUES (?, ?, ?, ?, ?)"
_WAITINGS = "SELECT stream, key, place, blob, media_type FROM waiting ORDER BY id"
_ATTACHMENTS = """
SELECT r.stream, r.key, a.pointer, a.blob, a.media_type, a.filename
FROM attachments a CROSS JOIN records r ON r.id = a.record ORDER BY a.id
"""
