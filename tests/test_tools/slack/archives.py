"""Databases of slackdump's shape with any content, and hydration's decisions without a store."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blobstore.sqlite import sqlite3
from tools.slack import sniff, status
from tools.slack.source import Source

SCHEMA = """
CREATE TABLE S_USER (ID TEXT, CHUNK_ID INTEGER, DATA BLOB, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE CHANNEL (ID TEXT, CHUNK_ID INTEGER, DATA BLOB, PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE MESSAGE (ID INTEGER, CHUNK_ID INTEGER, CHANNEL_ID TEXT, NUM_FILES INTEGER, DATA BLOB,
                      PRIMARY KEY (ID, CHUNK_ID));
CREATE TABLE FILE (ID TEXT, CHUNK_ID INTEGER, DATA BLOB, PRIMARY KEY (ID, CHUNK_ID));
"""


class Database:
    """A slackdump database, written row by row."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.path = directory / "slackdump.sqlite"
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.executescript(SCHEMA)

    def channel(self, chunk: int, slack: dict[str, Any]) -> None:
        self.connection.execute("INSERT INTO CHANNEL VALUES (?, ?, ?)", (slack["id"], chunk, json.dumps(slack)))

    def user(self, chunk: int, slack: dict[str, Any]) -> None:
        self.connection.execute("INSERT INTO S_USER VALUES (?, ?, ?)", (slack["id"], chunk, json.dumps(slack)))

    def message(self, chunk: int, channel_id: str, slack: dict[str, Any]) -> None:
        time = int(slack["ts"].replace(".", ""))
        row = (time, chunk, channel_id, len(slack.get("files", ())), json.dumps(slack).encode())
        self.connection.execute("INSERT INTO MESSAGE VALUES (?, ?, ?, ?, ?)", row)

    def file(self, chunk: int, slack: dict[str, Any]) -> None:
        self.connection.execute("INSERT INTO FILE VALUES (?, ?, ?)", (slack["id"], chunk, json.dumps(slack).encode()))

    def upload(self, file_id: str, name: str, content: bytes = b"x") -> None:
        path = self.path.parent / "__uploads" / file_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def verdicts(source: Source, *, keep_deleted: bool = False) -> dict[str, status.Verdict]:
    """What the rules say of each file by the bytes that the source holds: hydration without a store."""
    decided: dict[str, status.Verdict] = {}
    for entry in source.files():
        verdict = status.before_bytes(entry, keep_deleted=keep_deleted)
        if verdict is None and entry.located is None:
            verdict = status.missing(entry)
        elif verdict is None and entry.located is not None:
            with source.open(entry.located) as stream:
                head = stream.read(sniff.HEAD)
            verdict = status.of_bytes(entry.described, entry.located.size, head)
        assert verdict is not None
        assert entry.id not in decided
        decided[entry.id] = verdict
    return decided


def ids(objects: Iterable[dict[str, Any]]) -> list[str]:
    return [slack["id"] for slack in objects]
