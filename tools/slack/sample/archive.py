"""The made-up workspace as slackdump would keep it after a first run and one that resumed it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blobstore.sqlite import sqlite3
from tools.slack.objects import microseconds
from tools.slack.sample.cast import EVERY_CHANNEL, USERS
from tools.slack.sample.files import Planned
from tools.slack.source import SlackObject

_SCHEMA = """
CREATE TABLE SESSION (ID INTEGER PRIMARY KEY, MODE TEXT NOT NULL, FINISHED SMALLINT NOT NULL);
CREATE TABLE CHUNK (ID INTEGER PRIMARY KEY, SESSION_ID INTEGER NOT NULL, TYPE_ID SMALLINT NOT NULL, CHANNEL_ID TEXT);
CREATE TABLE S_USER (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, IDX INTEGER NOT NULL, USERNAME TEXT NOT NULL,
                     DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE CHANNEL (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, NAME TEXT, IDX INTEGER NOT NULL,
                      DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE MESSAGE (ID INTEGER NOT NULL, CHUNK_ID INTEGER NOT NULL, CHANNEL_ID TEXT NOT NULL, TS TEXT NOT NULL,
                      THREAD_TS TEXT, IDX INTEGER NOT NULL, NUM_FILES INTEGER NOT NULL DEFAULT 0, TXT TEXT,
                      DATA BLOB NOT NULL, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE FILE (ID TEXT NOT NULL, CHUNK_ID INTEGER NOT NULL, CHANNEL_ID TEXT NOT NULL, MESSAGE_ID INTEGER,
                   IDX INTEGER NOT NULL, MODE TEXT NOT NULL, FILENAME TEXT, URL TEXT, DATA BLOB NOT NULL,
                   SIZE INTEGER, PRIMARY KEY (ID, CHUNK_ID));
"""
_MESSAGES, _FILES, _USERS, _CHANNEL = 0, 2, 3, 5
"""Chunk types."""

STRAYS = (
    "__uploads/F999STRAY/left over.bin",
    "__uploads/F001SAMPLE/._harbour.png",
    "__uploads/F001SAMPLE/.DS_Store",
    "__uploads/F001SAMPLE/older name.png",
)
"""What lies in the archive without belonging to any file."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A message without its files, and the files it shares."""

    channel_id: str
    message: SlackObject
    files: tuple[Planned, ...]


def write(out: Path, files: list[Planned], messages: list[Shared]) -> None:
    """The archive in the new directory `out`."""
    out.mkdir(parents=True)
    _Database(out / "slackdump.sqlite").fill(messages)
    for file in files:
        if file.held is not None:
            path = out / "__uploads" / file.id / (file.saved_as or file.name)
            path.parent.mkdir(parents=True)
            with path.open("wb") as stream:
                stream.writelines(file.held.pieces())
    for stray in STRAYS:
        (out / stray).parent.mkdir(exist_ok=True)
        (out / stray).write_bytes(b"of no file")


class _Database:
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
        self._connection.executescript(_SCHEMA)
        self._chunks = 0

    def fill(self, messages: list[Shared]) -> None:
        """Two runs; the second sees again what changed, and the last third of the rest."""
        self._connection.execute("BEGIN")
        self._run(1, "archive", messages)
        recent = len(messages) * 2 // 3
        changed = [m for n, m in enumerate(messages) if n >= recent or any(file.before for file in m.files)]
        self._run(2, "resume", changed)
        self._connection.execute("COMMIT")
        self._connection.close()

    def _run(self, session: int, mode: str, messages: list[Shared]) -> None:
        self._connection.execute("INSERT INTO SESSION VALUES (?, ?, 1)", (session, mode))
        chunk = self._chunk(session, _USERS)
        for index, user in enumerate(USERS):
            seen = (user["id"], chunk, index, user["name"], _json(user))
            self._connection.execute("INSERT INTO S_USER VALUES (?, ?, ?, ?, ?)", seen)
        for index, channel in enumerate(EVERY_CHANNEL):
            chunk = self._chunk(session, _CHANNEL, channel["id"])
            row = (channel["id"], chunk, channel.get("name"), index, _json(channel))
            self._connection.execute("INSERT INTO CHANNEL VALUES (?, ?, ?, ?, ?)", row)
            self._conversation(session, [m for m in messages if m.channel_id == channel["id"]])

    def _conversation(self, session: int, messages: list[Shared]) -> None:
        for page in _pages(messages):
            chunk = self._chunk(session, _MESSAGES, page[0].channel_id)
            for index, shared in enumerate(page):
                self._message(session, chunk, index, shared)

    def _message(self, session: int, chunk: int, index: int, shared: Shared) -> None:
        forms = [file.form(first=session == 1) for file in shared.files]
        message = {**shared.message, **({"files": forms} if forms else {})}
        time = microseconds(message["ts"])
        row = (time, chunk, shared.channel_id, message["ts"], message.get("thread_ts"), index, len(forms))
        self._connection.execute(
            "INSERT INTO MESSAGE VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, message["text"], _json(message))
        )
        if forms:
            files_chunk = self._chunk(session, _FILES, shared.channel_id)
            for place, form in enumerate(forms):
                named = (form["mode"], form.get("name"), form.get("url_private_download"), _json(form))
                self._connection.execute(
                    "INSERT INTO FILE VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (form["id"], files_chunk, shared.channel_id, time, place, *named, form.get("size")),
                )

    def _chunk(self, session: int, kind: int, channel_id: str | None = None) -> int:
        self._chunks += 1
        row = (self._chunks, session, kind, channel_id)
        self._connection.execute("INSERT INTO CHUNK VALUES (?, ?, ?, ?)", row)
        return self._chunks


def _pages(messages: list[Shared]) -> Iterator[list[Shared]]:
    for start in range(0, len(messages), 100):
        yield messages[start : start + 100]


def _json(slack: SlackObject) -> bytes:
    return json.dumps(slack, ensure_ascii=False, separators=(",", ":")).encode()
