"""Reads the reference's SQLite file: one moment of it, and nothing is ever written there.

This is the one place that takes the SQLite of Python itself: only that reads a blob in pieces, where ours would have
each of up to half a GB in memory. A connection that may only read cannot do what that version gets wrong
(`blobstore.sqlite`), and no other SQLite of this process opens the file.
"""

import sqlite3
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PAGE = 500
PAGE_BYTES = 4 << 20
"""Records read at a time, and bytes of them after which no more are: a record may have many MB."""

ReadError = (sqlite3.Error, UnicodeDecodeError)
"""What a damaged file raises, later than at its opening; the latter where SQLite's own complaint is no text."""


class NotTheReferenceError(Exception):
    """The file cannot be read, or is none of the reference's. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """An account of a connector, as the file has it; `instance` is None in files from before there were any.

    `manifest` is None where the connector is not registered there.
    """

    connector: str
    instance: str | None
    owner: str | None
    manifest: bytes | None


@dataclass(frozen=True, slots=True)
class Row:
    """A record; `data` is its JSON text."""

    key: str
    data: bytes
    emitted_at: str


@dataclass(frozen=True, slots=True)
class BlobRow:
    """Bytes and what the file says of them; `row` finds them."""

    row: int
    media_type: str
    size: int
    sha256: bytes


class ReferenceFile:
    """An open file. Calls block; one thread at a time."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._tables = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"connectors", "records", "blobs"} <= self._tables:
            raise NotTheReferenceError(
                f"{path} has no tables `connectors`, `records` and `blobs`: it is no database of the PDPP reference"
            )
        columns = {row[1] for row in db.execute("PRAGMA table_info(records)")}
        self._has_instances = "connector_instance_id" in columns
        self._account = "connector_instance_id" if self._has_instances else "connector_id"

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file as it is at this moment, whoever goes on writing to it. Raises `NotTheReferenceError`."""
        if not path.is_file():  # to open a pipe would be to wait for who writes to it
            raise NotTheReferenceError(f"{path} is no regular file: give the reference's SQLite file")
        try:
            db = _connected(path)
            db.execute("BEGIN")
            return cls(path, db)
        except ReadError as error:
            raise NotTheReferenceError(
                f"{path} cannot be read ({error}): give the reference's SQLite file, together with the files that end"
                " in -wal and -shm where there are any, in a folder that may be written to"
            ) from None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def sources(self) -> list[Source]:
        """Every account that has records or state, in order."""
        manifests = {name: str(text).encode() for name, text in self._rows(_MANIFESTS, (), str, object)}
        owners = {}
        if "connector_instances" in self._tables:
            of_accounts = "SELECT connector_instance_id, owner_subject_id FROM connector_instances"
            owners = dict(self._rows(of_accounts, (), str, str))
        has_state = "connector_state" in self._tables
        of_state = f" UNION SELECT DISTINCT connector_id, {self._account} FROM connector_state" if has_state else ""
        accounts = f"SELECT DISTINCT connector_id, {self._account} FROM records{of_state} ORDER BY 1, 2"
        return [
            Source(name, account if self._has_instances else None, owners.get(account), manifests.get(name))
            for name, account in self._rows(accounts, (), str, str)
        ]

    def streams(self, source: Source) -> dict[str, tuple[int, int]]:
        """Streams with the numbers of their records and of those that are deleted there."""
        rows = self._rows(
            "SELECT stream, sum(deleted = 0), sum(deleted != 0) FROM records"
            f" WHERE {self._account} = ? GROUP BY stream",
            (self._of(source),),
            *(str, int, int),
        )
        return {stream: (there, gone) for stream, there, gone in rows}

    def records(self, source: Source, stream: str, after: str) -> list[Row]:
        """The next records of a stream in the order of keys, beyond `after`; those that were deleted left out."""
        found: list[Row] = []
        size = 0
        rows = self._rows(
            f"SELECT record_key, CAST(record_json AS BLOB), emitted_at FROM records WHERE {self._account} = ?"
            " AND stream = ? AND record_key > ? AND deleted = 0 ORDER BY record_key LIMIT ?",
            (self._of(source), stream, after, PAGE),
            *(str, bytes, str),
        )
        for key, data, emitted in rows:
            found.append(Row(key, data, emitted))
            size += len(data)
            if size >= PAGE_BYTES:
                break
        rows.close()
        return found

    def state(self, source: Source) -> dict[str, bytes]:
        """The sync state, JSON text by stream; that of grants is the authorization server's business."""
        if "connector_state" not in self._tables:
            return {}
        of_streams = f"SELECT stream, state_json FROM connector_state WHERE {self._account} = ?"
        rows = self._rows(of_streams, (self._of(source),), str, object)
        return {stream: str(text).encode() for stream, text in rows}

    def blob(self, source: Source, sha256: bytes) -> BlobRow | None:
        """The bytes that this account uploaded; None where it did not, or they are gone.

        Who only names bytes in a record has never shown that it has them: the reference does not give them out either.
        """
        rows = self._rows(
            "SELECT rowid, mime_type, size_bytes, sha256, blob_id FROM blobs WHERE sha256 = ? AND data IS NOT NULL",
            (sha256.hex(),),
            *(int, object, int, str, str),
        )
        if (found := next(rows, None)) is None or not self._is_bound(source, found[4]):
            return None
        return BlobRow(found[0], found[1], found[2], bytes.fromhex(found[3]))

    def blobs(self) -> tuple[int, int]:
        """How many blobs there are in all, and their bytes."""
        blobs, size = self._db.execute("SELECT count(*), coalesce(sum(size_bytes), 0) FROM blobs").fetchone()
        return int(blobs), int(size)

    def reading(self, blob: BlobRow) -> tuple[sqlite3.Connection, sqlite3.Blob]:
        """The bytes, to be read in pieces, on a connection of their own; who has both closes both."""
        db = _connected(self._path)
        try:
            return db, db.blobopen("blobs", "data", blob.row, readonly=True)
        except BaseException:
            db.close()
            raise

    def _rows(self, sql: str, parameters: tuple[object, ...], *types: type) -> Generator[tuple[Any, ...], None, None]:
        """Rows whose columns are of these types, which SQLite alone does not see to. Raises `ReadError` for others."""
        with closing(self._db.execute(sql, parameters)) as rows:
            for row in rows:
                if not all(map(isinstance, row, types)):
                    raise sqlite3.DataError("a column holds what is of another type")
                yield row

    def _is_bound(self, source: Source, blob_id: str) -> bool:
        columns = ("blob_bindings", "blobs") if "blob_bindings" in self._tables else ("blobs",)
        return any(
            self._db.execute(
                f"SELECT 1 FROM {table} WHERE blob_id = ? AND {self._account} = ? LIMIT 1", (blob_id, self._of(source))
            ).fetchone()
            for table in columns
        )

    def _of(self, source: Source) -> str:
        return source.connector if source.instance is None else source.instance


_MANIFESTS = "SELECT connector_id, manifest FROM connectors"


def _connected(path: Path) -> sqlite3.Connection:
    # `resolve`, for a relative path would be one of the URI. Threads take turns; see `ReferenceFile`.
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
    )
