"""A data directory with live and dead blobs, as uploads, ingests and deletions leave them, but written at once.

The dead are those whose last link was lost a moment ago: nothing has been released yet.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from blobstore.backend import ObjectName
from blobstore.digest import Digest, Hasher
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect
from records.central import Owner

CONNECTOR = "bench"
SIZE = 16
"""Bytes of each blob: what is measured is the work for a blob, not for its bytes."""

Row = tuple[object, ...]
Blob = tuple[ObjectName, bytes, bytes]
"""Name, bytes, SHA-256."""

_BLOB = """
INSERT INTO blobs (namespace, digest, generation, sha256, size, state, verified_at) VALUES (?, ?, ?, ?, ?, 'live', 1)
"""
_HOLDER = "INSERT INTO holders (namespace, digest, holder, version, confirmed) VALUES (?, ?, ?, 0, 1)"
_PART = "INSERT OR IGNORE INTO partitions (id, connector, instance, stream) VALUES (1, 1, 'one', 'files')"
_LINK = f"""
INSERT INTO links (part, key, pointer, connector, digest, media_type, size)
VALUES (1, ?, '/blob_ref', 1, ?, 'a/b', {SIZE})
"""
_SUMS = """
INSERT INTO linked VALUES (1, 'files', ?1, ?2, ?1, ?2), (1, '', ?1, ?2, ?1, ?2) ON CONFLICT DO UPDATE SET
    links = links + excluded.links, bytes = bytes + excluded.bytes,
    blobs = blobs + excluded.blobs, blob_bytes = blob_bytes + excluded.blob_bytes
"""


def litter(directory: Path, owner: Owner, count: int, *, linked: bool) -> None:
    """Add blobs that records link, or that have just lost their last link."""
    # In their order folder by folder, and row by row: a million takes minutes.
    blobs = sorted(strangers(owner.id, count), key=lambda blob: blob[0].digest.hex)
    folder, made = f"{directory}/blobs/{owner.id}", ""
    for name, data, _ in blobs:
        digest = name.digest.hex
        if (into := f"{folder}/{digest[:2]}/{digest[2:4]}") != made:
            os.makedirs(into, exist_ok=True)  # noqa: PTH103 - cheaper than a path
            made = into
        with open(f"{into}/{digest}.{name.generation}", "wb", buffering=0) as file:  # noqa: PTH123
            file.write(data)
    recorded(directory, owner, blobs, linked=linked)


def recorded(directory: Path, owner: Owner, blobs: Sequence[Blob], *, linked: bool) -> None:
    """Let catalogue and records know of blobs whose bytes are there."""
    with closing(connect(directory / "catalogue.db")) as db:
        rows = [(owner.id, name.digest.raw, name.generation, sha256, SIZE) for name, _, sha256 in blobs]
        _insert(db, _BLOB, rows)
        _insert(db, _HOLDER, [(*row[:2], CONNECTOR) for row in rows])
    with closing(connect(directory / "records" / f"{owner.id}.db")) as db:
        db.execute("INSERT OR IGNORE INTO connectors (id, name) VALUES (1, ?)", (CONNECTOR,))
        db.execute(_PART)
        if linked:
            _insert(db, _LINK, [(name.generation, name.digest.raw) for name, *_ in blobs])
            db.execute("UPDATE partitions SET links = links + ? WHERE id = 1", (len(blobs),))
            db.execute(_SUMS, (len(blobs), SIZE * len(blobs)))
        else:
            sql = "INSERT INTO unlinked (connector, digest) VALUES (1, ?)"
            _insert(db, sql, [(name.digest.raw,) for name, *_ in blobs])


def strangers(namespace: str, count: int) -> Iterator[Blob]:
    """Blobs that nobody knows yet."""
    for _ in range(count):
        data = secrets.token_bytes(SIZE)
        hasher = Hasher()
        hasher.update(data)
        content = hasher.finish()
        yield ObjectName(namespace, Digest(content.digest.hex), secrets.token_hex(16)), data, content.sha256


def _insert(db: sqlite3.Connection, sql: str, rows: Iterable[Row]) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.executemany(sql, rows)
    db.execute("COMMIT")
