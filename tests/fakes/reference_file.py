"""A SQLite file as the PDPP reference keeps it: the tables and columns that an import looks at."""

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHEN = "2026-11-23T10:00:00.000Z"

MANIFEST: dict[str, Any] = {
    "protocol_version": "0.1.0",
    "connector_id": "https://registry.pdpp.dev/connectors/gmail",
    "version": "1.2.0",
    "display_name": "Gmail",
    "streams": [
        {
            "name": "messages",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "schema": {"type": "object", "properties": {"id": {"type": "string"}, "subject": {"type": "string"}}},
        },
        {
            "name": "attachments",
            "semantics": "mutable_state",
            "primary_key": ["message", "part"],
            "schema": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "part": {"type": "integer"},
                    "filename": {"type": "string"},
                    "blob_ref": {"type": "object"},
                },
            },
        },
    ],
}


@dataclass
class Account:
    """Where rows belong: connector and instance."""

    connector: str = "gmail"
    instance: str = "cin_0123456789abcdef01234567"
    owner: str = "owner_local"


ACCOUNT = Account()


@dataclass
class ReferenceDatabase:
    """The file while it is made. `instances` False: of before there were any."""

    path: Path
    instances: bool = True

    def __post_init__(self) -> None:
        account = "connector_instance_id TEXT NOT NULL," if self.instances else ""
        by = "connector_instance_id" if self.instances else "connector_id"
        with self.opened() as db:
            db.executescript(f"""
            CREATE TABLE connectors (connector_id TEXT PRIMARY KEY, manifest TEXT NOT NULL);
            CREATE TABLE records (
                id INTEGER PRIMARY KEY AUTOINCREMENT, connector_id TEXT NOT NULL, {account} stream TEXT NOT NULL,
                record_key TEXT NOT NULL, record_json TEXT NOT NULL, emitted_at TEXT NOT NULL,
                version INTEGER NOT NULL DEFAULT 1, deleted INTEGER NOT NULL DEFAULT 0, deleted_at TEXT,
                UNIQUE ({by}, stream, record_key));
            CREATE TABLE blobs (
                blob_id TEXT PRIMARY KEY, connector_id TEXT NOT NULL, {account} stream TEXT NOT NULL,
                record_key TEXT NOT NULL, mime_type TEXT NOT NULL, size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
                data BLOB);
            CREATE UNIQUE INDEX uniq_blobs_sha256 ON blobs (sha256);
            CREATE TABLE blob_bindings (
                blob_id TEXT NOT NULL, connector_id TEXT NOT NULL, {account} stream TEXT NOT NULL,
                record_key TEXT NOT NULL, json_path TEXT NOT NULL DEFAULT '@record',
                PRIMARY KEY (blob_id, {by}, stream, record_key, json_path));
            CREATE TABLE connector_state (
                connector_id TEXT NOT NULL, {account} stream TEXT NOT NULL, state_json TEXT NOT NULL,
                PRIMARY KEY ({by}, stream));
            """)
            if self.instances:
                db.execute(
                    "CREATE TABLE connector_instances (connector_instance_id TEXT PRIMARY KEY,"
                    " owner_subject_id TEXT NOT NULL, connector_id TEXT NOT NULL)"
                )

    def opened(self) -> "closing[sqlite3.Connection]":
        return closing(sqlite3.connect(self.path, isolation_level=None))

    def register(self, manifest: dict[str, Any] = MANIFEST, account: Account = ACCOUNT) -> None:
        self._insert("connectors", connector_id=account.connector, manifest=json.dumps(manifest))
        if self.instances:
            of = {"owner_subject_id": account.owner, "connector_id": account.connector}
            self._insert("connector_instances", connector_instance_id=account.instance, **of)

    def record(
        self,
        stream: str,
        key: str,
        data: Any,
        account: Account = ACCOUNT,
        *,
        emitted: str = WHEN,
        deleted: bool = False,
    ) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        of = {"stream": stream, "record_key": key, "record_json": text, "emitted_at": WHEN, "deleted": deleted}
        self._insert("records", **self._of(account), **of)

    def state(self, stream: str, text: str, account: Account = ACCOUNT) -> None:
        self._insert("connector_state", **self._of(account), stream=stream, state_json=text)

    def blob(self, data: bytes, account: Account = ACCOUNT, *, key: str = "k", damaged: bool = False) -> dict[str, Any]:
        """Bytes with a binding; the reference to them that a record has."""
        sha256 = hashlib.sha256(data).hexdigest()
        blob_id = f"blob_sha256_{sha256}"
        place = {**self._of(account), "stream": "attachments", "record_key": key}
        kept = bytes([data[0] ^ 1]) + data[1:] if damaged else data
        of = {"mime_type": "application/pdf", "size_bytes": len(data), "sha256": sha256, "data": kept}
        self._insert("blobs", blob_id=blob_id, **place, **of)
        self._insert("blob_bindings", blob_id=blob_id, **place)
        return {"blob_id": blob_id, "mime_type": "application/pdf", "size_bytes": len(data), "sha256": sha256}

    def attach(self, part: int, data: bytes, account: Account = ACCOUNT, **blob: Any) -> None:
        """A record of an attachment, with its bytes."""
        ref = self.blob(data, account, key=f'["m1",{part}]', **blob)
        described = {"message": "m1", "part": part, "filename": f"{part}.pdf", "blob_ref": ref}
        self.record("attachments", f'["m1",{part}]', described, account)

    def _of(self, account: Account) -> dict[str, str]:
        of = {"connector_id": account.connector}
        return of | ({"connector_instance_id": account.instance} if self.instances else {})

    def _insert(self, table: str, **values: Any) -> None:
        marks = ", ".join("?" * len(values))
        with self.opened() as db:
            db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values()))
