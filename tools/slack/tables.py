"""The rows of a workspace in the tables of a slackdump database: of many rows for one object the newest counts.

Archives bring such a database; every other form is poured into a scratch one. So there is one place that decides what
is newest (the row with the highest `CHUNK_ID`), and memory is bounded whatever the number of messages: no query sorts
more than it can take from an index.
"""

import heapq
from collections.abc import Iterator
from typing import Any

import msgspec

from blobstore.sqlite import sqlite3
from tools.slack import jsonstream, status
from tools.slack.objects import file_objects, microseconds
from tools.slack.scratch import encoded, scratch
from tools.slack.source import SlackObject, SourceError

TABLES = ("CHANNEL", "S_USER", "MESSAGE", "FILE")

_NEWEST = "SELECT ID, DATA FROM (SELECT ID, DATA, max(CHUNK_ID) FROM {table} GROUP BY ID) ORDER BY ID"

# One time may belong to messages of two channels, hence the comparison of CHANNEL_ID. Its plus sign keeps SQLite from
# looking rows up by channel: by ID there are a few, by channel there are all.
_MESSAGES = """
SELECT m.CHANNEL_ID, m.ID, m.DATA FROM MESSAGE m WHERE NOT EXISTS (
    SELECT 1 FROM MESSAGE newer WHERE newer.ID = m.ID AND newer.CHUNK_ID > m.CHUNK_ID
                                  AND +newer.CHANNEL_ID = m.CHANNEL_ID)
ORDER BY m.ID, m.CHANNEL_ID"""

_WITH_FILES = "SELECT CHUNK_ID, DATA FROM MESSAGE WHERE NUM_FILES > 0 ORDER BY rowid"
_MENTIONS = "CREATE TABLE MENTION (ID TEXT, CHUNK_ID INTEGER, DATA BLOB, PRIMARY KEY (ID, CHUNK_ID))"
_IN_ORDER = "SELECT ID, CHUNK_ID, DATA FROM {table} ORDER BY ID, CHUNK_ID"


_JSON = (bytes, str)


class _Mentions(msgspec.Struct):
    """What a message says of files, each left undecoded."""

    files: list[msgspec.Raw] | None = None
    file: msgspec.Raw | None = None


class _Id(msgspec.Struct):
    id: str


_mentions = msgspec.json.Decoder(_Mentions)
_id = msgspec.json.Decoder(_Id)


class Rows:
    """Reads the objects out of a database of slackdump's shape. To be used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._gathered: sqlite3.Connection | None = None

    def channels(self) -> Iterator[SlackObject]:
        """Each channel once, by id."""
        return self._objects("CHANNEL")

    def users(self) -> Iterator[SlackObject]:
        """Each user once, by id."""
        return self._objects("S_USER")

    def messages(self) -> Iterator[tuple[str, SlackObject]]:
        """(channel id, message), each once, by time and channel."""
        for channel_id, time, data in _query(self._connection, _MESSAGES, str, int, _JSON):
            message = _decoded(data)
            if microseconds(message.get("ts")) is None:
                message["ts"] = f"{time // 1_000_000}.{time % 1_000_000:06d}"
            yield channel_id, message

    def files(self) -> Iterator[list[SlackObject]]:
        """The forms of each file, oldest first, by file id: from the table of files and from messages."""
        mentioned = _query(self._mentions(), _IN_ORDER.format(table="MENTION"), str, int, _JSON)
        own = _query(self._connection, _IN_ORDER.format(table="FILE"), str, int, _JSON)
        forms: list[SlackObject] = []
        # Of one chunk the message comes first: what the file's own row says of it was asked for later.
        for file_id, _, data in heapq.merge(mentioned, own, key=lambda row: row[:2]):
            if forms and forms[-1]["id"] != file_id:
                yield forms
                forms = []
            forms = _with(forms, {**_decoded(data), "id": file_id})
        if forms:
            yield forms

    def close(self) -> None:
        """Give up the database. Harmless when called twice."""
        if self._gathered is not None:
            self._gathered.close()
        self._connection.close()

    def _mentions(self) -> sqlite3.Connection:
        """What messages say of files, gathered once."""
        if self._gathered is None:
            gathered = scratch(_MENTIONS)
            rows = _query(self._connection, _WITH_FILES, int, _JSON)
            found = ((file_id, chunk, raw) for chunk, data in rows for file_id, raw in _mentioned(data))
            gathered.execute("BEGIN")
            gathered.executemany("INSERT OR REPLACE INTO MENTION VALUES (?, ?, ?)", found)
            gathered.execute("COMMIT")
            self._gathered = gathered
        return self._gathered

    def _objects(self, table: str) -> Iterator[SlackObject]:
        for object_id, data in _query(self._connection, _NEWEST.format(table=table), str, _JSON):
            yield {**_decoded(data), "id": object_id}


def _query(connection: sqlite3.Connection, sql: str, *types: type | tuple[type, ...]) -> Iterator[tuple[Any, ...]]:
    """Rows whose columns are of these types, which SQLite alone does not see to. Raises `SourceError` for others."""
    try:
        for row in connection.execute(sql):
            if not all(map(isinstance, row, types)):
                raise SourceError("the archive's database holds a damaged row (a column of another type)")
            yield row
    except sqlite3.DatabaseError as error:
        raise SourceError(f"the archive's database cannot be read ({error}); make the archive again") from error


def _with(forms: list[SlackObject], newer: SlackObject) -> list[SlackObject]:
    """`forms` and a newer one, cut down to what is ever asked for: the newest of each kind."""
    kind = _kind(newer)
    return [form for form in forms if _kind(form) != kind] + [newer]


def _kind(slack: SlackObject) -> tuple[bool, bool]:
    return status.is_tombstone(slack), status.is_stub(slack)


def _mentioned(data: bytes | str) -> Iterator[tuple[str, bytes]]:
    try:
        mentions = _mentions.decode(data)
        raw = [*(mentions.files or ()), *((mentions.file,) if mentions.file else ())]
        yield from [(_id.decode(file).id, bytes(file)) for file in raw]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # A file object of an odd form, or text that is no UTF-8: slower, and one by one.
        for file in file_objects(_decoded(data)):
            if isinstance(file.get("id"), str):
                yield file["id"], encoded(file)


def _decoded(data: bytes | str) -> SlackObject:
    try:
        value = jsonstream.decode(data)
    except ValueError as error:
        raise SourceError(f"the archive's database holds a damaged row ({error})") from error
    if not isinstance(value, dict):
        raise SourceError("the archive's database holds a row that is no object")
    return value
