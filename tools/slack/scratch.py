"""Scratch databases: what does not fit into memory while a source is read, in files that have no name.

The file goes to the directory for temporary files (`TMPDIR`) and is unlinked as soon as it is open, so that nothing of
a workspace stays behind however the process ends. SQLite's own nameless databases would not do: builds differ in
whether they keep those in memory.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from blobstore.sqlite import sqlite3
from tools.slack import jsonstream
from tools.slack.objects import file_objects, microseconds
from tools.slack.source import SlackObject, Strays

_EXAMPLES = 10

_TABLES = """
CREATE TABLE CHANNEL (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE S_USER (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE FILE (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE MESSAGE (ID INTEGER NOT NULL, CHUNK_ID INTEGER NOT NULL, CHANNEL_ID TEXT NOT NULL,
                      NUM_FILES INTEGER NOT NULL, DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID, CHANNEL_ID));
"""


def scratch(schema: str) -> sqlite3.Connection:
    """An empty database with the tables of `schema`; its space is free again once it is closed."""
    with tempfile.TemporaryDirectory(prefix="slack-scratch-") as private:
        connection = sqlite3.connect(Path(private) / "scratch", isolation_level=None, check_same_thread=False)
        # Without a journal no second file is ever opened beside the one that is about to lose its name.
        for pragma in ("journal_mode = OFF", "locking_mode = EXCLUSIVE", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.executescript(schema)
        return connection


def encoded(slack: SlackObject) -> bytes:
    """The object as JSON that `jsonstream.decode` reads."""
    try:
        return msgspec.json.encode(slack)
    except (UnicodeEncodeError, OverflowError):
        # Lone surrogates, or an integer of more than 64 bits.
        return json.dumps(jsonstream.without_surrogates(slack)).encode()


class Pour:
    """Fills a scratch database of slackdump's shape, for `tables.Rows` to read.

    Chunks are numbered by the caller: of one object the form with the highest number is the newest, and in one chunk
    the form that came last.
    """

    def __init__(self) -> None:
        self._connection = scratch(_TABLES)
        self._connection.execute("BEGIN")
        self.unusable = Strays()
        """Objects that have no id or time, and so no place."""

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
        row = (time, chunk, jsonstream.without_surrogates(channel_id), len(file_objects(slack)), encoded(slack))
        self._connection.execute("INSERT OR REPLACE INTO MESSAGE VALUES (?, ?, ?, ?, ?)", row)

    def _named(self, table: str, chunk: int, slack: Any) -> None:
        if not isinstance(slack, dict) or not isinstance(slack.get("id"), str) or not slack["id"]:
            return self._unusable(f"a {table} without an id")
        row = (jsonstream.without_surrogates(slack["id"]), chunk, encoded(slack))
        self._connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", row)

    def _unusable(self, what: str) -> None:
        self.unusable.count += 1
        if len(self.unusable.examples) < _EXAMPLES:
            self.unusable.examples.append(what)

    def done(self) -> sqlite3.Connection:
        """The filled database, which is the caller's to close."""
        self._connection.execute("COMMIT")
        return self._connection
