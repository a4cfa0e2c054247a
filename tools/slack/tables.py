"""The rows of a workspace in the tables of a slackdump database: of many rows for one object the newest counts.

Archives bring such a database; every other form is poured into a scratch one that SQLite keeps in a nameless file and
that vanishes with the process. So there is one place that decides what is newest, and memory stays bounded whatever
the number of messages. "Newest" is the row with the highest `CHUNK_ID`.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from blobstore.sqlite import sqlite3
from tools.slack import jsonstream, status
from tools.slack.source import SlackObject, SourceError, Strays

TABLES = ("CHANNEL", "S_USER", "MESSAGE", "FILE")

_EXAMPLES = 10

_SCRATCH = """
CREATE TABLE CHANNEL (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE S_USER (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE FILE (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE MESSAGE (ID INTEGER NOT NULL, CHUNK_ID INTEGER NOT NULL, CHANNEL_ID TEXT NOT NULL,
                      NUM_FILES INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID, CHANNEL_ID));
"""

_NEWEST = "SELECT ID, DATA FROM (SELECT ID, DATA, max(CHUNK_ID) FROM {table} GROUP BY ID) ORDER BY ID"

# One time may belong to messages of two channels, hence the comparison of CHANNEL_ID.
_MESSAGES = """
SELECT m.CHANNEL_ID, m.ID, m.DATA FROM MESSAGE m WHERE NOT EXISTS (
    SELECT 1 FROM MESSAGE newer WHERE newer.ID = m.ID AND newer.CHUNK_ID > m.CHUNK_ID
                                  AND newer.CHANNEL_ID = m.CHANNEL_ID)
ORDER BY m.ID, m.CHANNEL_ID"""

_FILES = """
SELECT ID, DATA FROM (SELECT ID, CHUNK_ID, 1 AS OWN, DATA FROM FILE UNION ALL
                      SELECT ID, CHUNK_ID, 0, DATA FROM temp.MENTION) ORDER BY ID, CHUNK_ID, OWN"""


class _Mentions(msgspec.Struct):
    """What a message says of files, each left undecoded; `file` is how it was done until 2017."""

    files: list[msgspec.Raw] | None = None
    file: msgspec.Raw | None = None


class _Id(msgspec.Struct):
    id: str


_mentions = msgspec.json.Decoder(_Mentions)
_id = msgspec.json.Decoder(_Id)


def scratch() -> sqlite3.Connection:
    """An empty database of our own, without a name in the file system."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.executescript(_SCRATCH)
    return connection


class Pour:
    """Fills a scratch database. Chunks are numbered by the caller: what has a higher number is newer."""

    def __init__(self) -> None:
        self.connection = scratch()
        self.connection.execute("BEGIN")
        self.unusable = Strays()

    def channel(self, chunk: int, slack: Any) -> None:
        """Keep one channel."""
        self._named("CHANNEL", chunk, slack)

    def user(self, chunk: int, slack: Any) -> None:
        """Keep one user."""
        self._named("S_USER", chunk, slack)

    def file(self, chunk: int, slack: Any) -> None:
        """Keep one file that is known otherwise than by a message."""
        self._named("FILE", chunk, slack)

    def message(self, chunk: int, channel_id: str, slack: Any) -> None:
        """Keep one message."""
        time = microseconds(slack.get("ts")) if isinstance(slack, dict) else None
        if time is None:
            return self._unusable(f"a message of {channel_id} without a time")
        files = len(file_objects(slack))
        row = (time, chunk, channel_id, files, _encoded(slack))
        self.connection.execute("INSERT OR REPLACE INTO MESSAGE VALUES (?, ?, ?, ?, ?)", row)

    def _named(self, table: str, chunk: int, slack: Any) -> None:
        if not isinstance(slack, dict) or not isinstance(slack.get("id"), str) or not slack["id"]:
            return self._unusable(f"a {table} without an id")
        row = (slack["id"], chunk, _encoded(slack))
        self.connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", row)

    def _unusable(self, what: str) -> None:
        self.unusable.count += 1
        if len(self.unusable.examples) < _EXAMPLES:
            self.unusable.examples.append(what)

    def done(self) -> sqlite3.Connection:
        """The filled database."""
        self.connection.execute("COMMIT")
        return self.connection


def _encoded(slack: SlackObject) -> bytes:
    try:
        return msgspec.json.encode(slack)
    except (UnicodeEncodeError, OverflowError):
        # Lone surrogates, or an integer of more than 64 bits.
        return json.dumps(jsonstream.without_surrogates(slack)).encode()


def microseconds(ts: Any) -> int | None:
    """A Slack time such as `"1714032849.000001"` in microseconds; None where it is none."""
    if not isinstance(ts, str):
        return None
    seconds, _, fraction = ts.partition(".")
    digits = seconds + fraction[:6].ljust(6, "0")
    # 12 digits of seconds reach the year 33658: whatever is longer is no time.
    return int(digits) if seconds and len(seconds) <= 12 and digits.isascii() and digits.isdigit() else None


def file_objects(message: SlackObject) -> list[SlackObject]:
    """The files that a message mentions, in their order; the legacy `file` is one of them."""
    files = message.get("files")
    listed = files if isinstance(files, list) else []
    return [file for file in (*listed, message.get("file")) if isinstance(file, dict)]


class Rows:
    """Reads the objects out of a database of slackdump's shape. Safe to use from one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._mentions_kept = False

    def channels(self) -> Iterator[SlackObject]:
        """Each channel once, by id."""
        return self._objects(_NEWEST.format(table="CHANNEL"))

    def users(self) -> Iterator[SlackObject]:
        """Each user once, by id."""
        return self._objects(_NEWEST.format(table="S_USER"))

    def messages(self) -> Iterator[tuple[str, SlackObject]]:
        """(channel id, message), each once, by time and channel."""
        for channel_id, time, data in self._query(_MESSAGES):
            message = _decoded(data)
            if microseconds(message.get("ts")) is None:
                message["ts"] = f"{time // 1_000_000}.{time % 1_000_000:06d}"
            yield channel_id, message

    def files(self) -> Iterator[list[SlackObject]]:
        """The forms of each file, oldest first, by file id: from the table of files and from messages."""
        self._keep_mentions()
        forms: list[SlackObject] = []
        current = None
        for file_id, data in self._query(_FILES):
            if file_id != current and forms:
                yield forms
                forms = []
            current = file_id
            forms = _with(forms, {**_decoded(data), "id": file_id})
        if forms:
            yield forms

    def _keep_mentions(self) -> None:
        """Gather what messages say of files once; in a temporary table, as it may not fit into memory."""
        if self._mentions_kept:
            return
        rows = self._query("SELECT CHUNK_ID, DATA FROM MESSAGE WHERE NUM_FILES > 0 ORDER BY CHUNK_ID, ID")
        found = ((file_id, chunk, raw) for chunk, data in rows for file_id, raw in _mentioned(data))
        self._connection.execute("BEGIN")
        try:
            self._connection.execute("CREATE TEMP TABLE MENTION (ID TEXT, CHUNK_ID INTEGER, DATA BLOB)")
            self._connection.executemany("INSERT INTO temp.MENTION VALUES (?, ?, ?)", found)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._mentions_kept = True

    def _objects(self, sql: str) -> Iterator[SlackObject]:
        for object_id, data in self._query(sql):
            yield {**_decoded(data), "id": object_id}

    def _query(self, sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(sql)
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
    except (msgspec.DecodeError, UnicodeError):
        # A message with a file object of an odd form, or with text that is no UTF-8: slower, and one by one.
        for file in file_objects(_decoded(data)):
            if isinstance(file.get("id"), str):
                yield file["id"], _encoded(file)


def _decoded(data: bytes | str) -> SlackObject:
    try:
        value = jsonstream.decode(data)
    except ValueError as error:
        raise SourceError(f"the archive's database holds a damaged row ({error})") from error
    if not isinstance(value, dict):
        raise SourceError("the archive's database holds a row that is no object")
    return value
