"""A data directory with two owners, written by the library; and ways to harm it behind the store's back."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner, Result

from blobstore.backend import Backend, ForeignObject, ObjectName
from blobstore.digest import Digest, Hasher
from blobstore.sqlite import sqlite3
from records.central import Owner
from records.consent.scope import Selector
from records.store import RecordStore
from records.writing.attachments import Target
from tests.fakes.topologies import IN_FILES, Storage
from tools.cli import main
from tools.opening import Opening, configure
from tools.where import Reached

T = TypeVar("T")

CONNECTOR = "files"
WHEN = "2026-11-23T10:00:00Z"
MANIFEST: dict[str, Any] = {
    "connector_id": CONNECTOR,
    "version": "1",
    "streams": [
        {
            "name": name,
            "semantics": "mutable_state",
            "schema": {"type": "object", "properties": {"id": {"type": "string"}, "attachments": {"type": "array"}}},
            "primary_key": ["id"],
        }
        for name in ("documents", "photos")
    ],
}

LETTER, PHOTO, DRAFT = b"a letter", b"a photo " * 20_000, b"a draft"
"""LETTER has two links in a record and one in the other stream, PHOTO one; DRAFT is claimed, its record never came."""


def digest_of(data: bytes) -> Digest:
    hasher = Hasher()
    hasher.update(data)
    return hasher.finish().digest


def sha256_of(data: bytes) -> str:
    hasher = Hasher()
    hasher.update(data)
    return hasher.finish().sha256.hex()


def objects(backend: Backend) -> list[tuple[ObjectName, int]]:
    """All that lies in a backend, with sizes; nothing foreign is there."""
    found = []
    for entry in backend.list():
        assert not isinstance(entry, ForeignObject), entry
        found.append(entry)
    return found


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def upload(
    store: RecordStore,
    owner: Owner,
    data: bytes,
    key: str,
    stream: str = "documents",
    instance: str | None = None,
    connector: str = CONNECTOR,
) -> str:
    receiving = await store.attachments.receive(owner, Target(Selector(connector, instance), stream, key, "text/plain"))
    async with receiving as incoming:
        await incoming.write(data)
        return str((await incoming.finish()).name.digest)


async def ingest(
    store: RecordStore,
    owner: Owner,
    key: str,
    blobs: list[str],
    stream: str = "documents",
    instance: str | None = None,
    connector: str = CONNECTOR,
    **data: Any,
) -> None:
    ingest = await store.ingests.begin(owner, stream, Selector(connector, instance))
    refs = [{"blob_ref": {"blob_id": blob, "mime_type": "text/plain"}, "name": "x.txt"} for blob in blobs]
    line = {"key": key, "emitted_at": WHEN, "data": {"id": key, "attachments": refs, **data}}
    await ingest.apply([json.dumps(line).encode()])
    assert ingest.rejected == 0, ingest.rejections


async def delete(
    store: RecordStore, owner: Owner, key: str, stream: str = "documents", connector: str = CONNECTOR
) -> None:
    ingest = await store.ingests.begin(owner, stream, Selector(connector))
    await ingest.apply([json.dumps({"key": key, "emitted_at": WHEN, "op": "delete"}).encode()])
    assert ingest.rejected == 0


async def fill(store: RecordStore) -> str:
    ann, bob = await store.access.owner("ann"), await store.access.owner("bob")
    for owner in (ann, bob):
        await store.registry.register(owner, json.dumps(MANIFEST).encode())
    letter = await upload(store, ann, LETTER, "1")
    await ingest(store, ann, "1", [letter, letter])
    photo = await upload(store, ann, PHOTO, "2", "photos")
    await ingest(store, ann, "2", [photo, letter], "photos")
    await ingest(store, ann, "3", [], text="no blob")
    await upload(store, ann, DRAFT, "4")
    await ingest(store, bob, "1", [await upload(store, bob, LETTER, "1")])
    return ann.id


def in_store(
    data: Path, work: Callable[[RecordStore], Awaitable[T]], ledger: Path | None = None, storage: Storage = IN_FILES
) -> T:
    """Run the work on the opened store."""

    async def run() -> T:
        store = await storage.open(data, ledger)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


@dataclass(frozen=True, slots=True)
class Stored:
    """The directory, and the internal id of ann."""

    data: Path
    ann: str

    def run(self, *arguments: str) -> Result:
        """A command of the program on this directory."""
        return CliRunner().invoke(main, [*arguments, "--data", str(self.data)], catch_exceptions=False)

    def doctor(self, *options: str, exit_code: int = 1) -> list[Mapping[str, Any]]:
        """What doctor finds."""
        result = self.run("doctor", "--json", *options)
        assert result.exit_code == exit_code, result.output
        found: list[Mapping[str, Any]] = json.loads(result.stdout)
        return found

    def kinds(self, *options: str, exit_code: int = 1) -> list[str]:
        """The kinds of what doctor finds."""
        return [each["kind"] for each in self.doctor(*options, exit_code=exit_code)]

    def file(self, data: bytes) -> Path:
        """The only file with these bytes of ann's."""
        (path,) = (self.data / "blobs" / self.ann).glob(f"*/*/{digest_of(data).hex}.*")
        return path

    def catalogue(self, sql: str, *values: object) -> None:
        """Change the catalogue behind the store's back."""
        harm(self.data / "catalogue.db", sql, *values)

    def central(self, sql: str, *values: object) -> None:
        """Change the central store behind the store's back."""
        harm(self.data / "central.db", sql, *values)

    def records(self, sql: str, *values: object) -> None:
        """Change ann's records behind the store's back."""
        harm(self.data / "records" / f"{self.ann}.db", sql, *values)


def harm(file: Path, sql: str, *values: object) -> None:
    """Run the statement, which must change something."""
    with vandal(file) as db:
        assert db.execute(sql, values).rowcount > 0


@contextmanager
def vandal(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection past the store, without its rules."""
    db = sqlite3.connect(file, isolation_level=None)
    try:
        yield db
    finally:
        db.close()


def make(data: Path, storage: Storage = IN_FILES) -> Stored:
    """Make the directory."""
    where = storage.where
    reached = Reached.of(where)
    configure(Opening(data, str(storage.topology), where.location, database_url=storage.database_url, reached=reached))
    return Stored(data, in_store(data, fill, storage=storage))
