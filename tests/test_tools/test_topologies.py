"""Every command does its work wherever records live, or says clearly that it does not."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from blobstore.backend import Backend, ObjectName
from records.layout import Topology
from records.store import RecordStore
from tests.conftest import SOAK
from tests.fakes.data_directory import LETTER, PHOTO, Stored, delete, digest_of, in_store, ingest, make
from tests.fakes.topologies import DURABLE, Kind, Storage, stored_in
from tools.cli import main

WITH_S3 = [Kind(Topology.SINGLE, True), *([Kind(Topology.POSTGRES, True)] if SOAK else [])]

pytestmark = pytest.mark.parametrize("storage", [*DURABLE, *WITH_S3], ids=str, indirect=True)


@pytest.fixture
def stored(storage: Storage, tmp_path: Path, at_rest: None) -> Stored:
    """A directory with some of everything in it, in the topology."""
    return make(tmp_path / "data", storage)


def told(stored: Stored, *command: str, exit_code: int = 0) -> Any:
    """What a command reports."""
    result = stored.run(*command, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def bytes_there(stored: Stored, storage: Storage) -> Iterator[Backend]:
    """The place of the directory's bytes, behind the store's back."""
    backend = storage.where.open(stored.data)
    yield backend
    backend.close()


def name_of(stored: Stored, backend: Backend, data: bytes) -> ObjectName:
    """The only copy of these bytes of ann's."""
    names = (entry[0] for entry in backend.list() if isinstance(entry, tuple))
    (name,) = (name for name in names if (name.namespace, name.digest) == (stored.ann, digest_of(data)))
    return name


def test_nothing_is_wrong_with_what_was_written(stored: Stored) -> None:
    assert stored.kinds("--deep", exit_code=0) == []


def test_doctor_finds_bytes_that_changed_and_what_lies_around(
    stored: Stored, bytes_there: Backend, tmp_path: Path
) -> None:
    name, other = name_of(stored, bytes_there, PHOTO), tmp_path / "other"
    other.write_bytes(b"x" * len(PHOTO))
    bytes_there.remove([name])
    bytes_there.publish(name, other)
    (stored.data / "records").mkdir(exist_ok=True)
    (stored.data / "records" / "notes.txt").write_text("mine")
    assert set(stored.kinds("--deep")) == {"foreign_file", "digest_mismatch"}


def test_usage_and_explanations_count_what_is_there(stored: Stored) -> None:
    rows = {(row["owner"], row["connector"], row["stream"]): row["records"] for row in told(stored, "usage")}
    assert rows["ann", "files", "documents"] == 2
    assert rows["ann", "files", "photos"] == 1
    facts = told(stored, "explain", str(digest_of(LETTER)))
    assert sum(fact["what"] == "link" and fact["owner"] == "ann" for fact in facts) == 3


def test_what_is_deleted_is_collected_once_nobody_holds_it(
    stored: Stored, storage: Storage, bytes_there: Backend
) -> None:
    async def photo_goes(store: RecordStore) -> None:
        await delete(store, await store.access.owner("ann"), "2", "photos")

    in_store(stored.data, photo_goes, storage=storage)
    name = name_of(stored, bytes_there, PHOTO)
    assert stored.run("gc", "--grace", "0").exit_code == 0
    assert bytes_there.left([name]) == []
    assert name_of(stored, bytes_there, LETTER)
    assert stored.kinds("--deep", exit_code=0) == []


@pytest.mark.parametrize(
    "scope",
    [
        (),
        ("--connector", "files"),
        ("--connector", "files", "--stream", "documents"),
        ("--connector", "files", "--stream", "documents", "--key", "1"),
    ],
    ids=["owner", "connector", "stream", "record"],
)
def test_an_erasure_leaves_no_trace_and_a_receipt_that_is_genuine(
    stored: Stored, bytes_there: Backend, tmp_path: Path, scope: tuple[str, ...]
) -> None:
    [preview] = told(stored, "erase", "--owner", "ann", *scope, "--preview")
    [report] = told(stored, "erase", "--owner", "ann", *scope)
    assert (report["records"], report["blobs"], report["bytes"]) == (
        preview["records"],
        preview["blobs"],
        preview["bytes"],
    )
    assert report["receipt"]["residue"]["result"] == "clean"
    receipt = tmp_path / "receipt.json"
    shown = stored.run("receipt", "show", report["id"])
    receipt.write_bytes(shown.stdout_bytes)
    verified = CliRunner().invoke(main, ["receipt", "verify", str(receipt)])
    assert verified.exit_code == 0, verified.output
    assert stored.kinds("--deep", exit_code=0) == []
    gone = {LETTER, PHOTO} if scope[2:] == () else set()
    assert not {digest_of(data) for data in gone} & {
        entry[0].digest for entry in bytes_there.list() if isinstance(entry, tuple) and entry[0].namespace == stored.ann
    }
    assert [row for row in told(stored, "usage") if row["owner"] == "bob" and row["stream"] == "documents"]


def test_an_export_comes_back_as_it_was(stored: Stored, storage: Storage, tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    assert stored.run("export", "--owner", "ann", str(first)).exit_code == 0
    assert stored.run("import", "--owner", "eve", str(first)).exit_code == 0
    assert stored.run("export", "--owner", "eve", str(second)).exit_code == 0
    assert first.read_bytes() == second.read_bytes()


def test_the_export_is_the_same_bytes_from_every_topology(stored: Stored, tmp_path: Path) -> None:
    single = make(tmp_path / "single")
    there, here = tmp_path / "there.tar", tmp_path / "here.tar"
    assert stored.run("export", "--owner", "ann", str(there)).exit_code == 0
    assert single.run("import", "--owner", "eve", str(there)).exit_code == 0
    assert single.run("export", "--owner", "eve", str(here)).exit_code == 0
    assert there.read_bytes() == here.read_bytes()


def test_the_audit_log_holds(stored: Stored) -> None:
    for command in (("spine", "verify", "--owner", "ann"), ("spine", "checkpoint", "--owner", "ann")):
        result = stored.run(*command)
        assert result.exit_code == 0, result.output


def test_a_quota_counts_records_and_blobs(stored: Stored) -> None:
    assert stored.run("quota", "set", "--owner", "ann", "1GiB").exit_code == 0
    [rule] = told(stored, "quota", "list")
    assert rule["used_bytes"] > len(LETTER) + len(PHOTO)


def test_a_backup_is_restored_elsewhere_and_nothing_is_restored_over_something(
    stored: Stored, storage: Storage, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert stored.run("backup", str(tmp_path / "backup")).exit_code == 0
    restored = Stored(tmp_path / "restored", stored.ann)
    ledger = ["--ledger", str(stored.data / "erasures.ledger")] if storage.where.is_files else []  # or in the bucket
    command = ["restore", str(tmp_path / "backup"), *ledger]
    with stored_in(Kind(storage.topology, not storage.where.is_files), request) as elsewhere:
        if storage.database_url is not None:
            assert "--database-url" in restored.run(*command, *elsewhere.options[4:]).output
            over = Storage(storage.topology, storage.database_url, elsewhere.where)
            assert "not empty" in restored.run(*command, *over.options[2:]).output
        if not storage.where.is_files:
            assert f"were in {storage.where.location}" in restored.run(*command).output
        result = restored.run(*command, *elsewhere.options[2:])
        assert result.exit_code == 0, result.output
        assert restored.kinds("--deep", exit_code=0) == []
        assert told(restored, "usage") == told(stored, "usage")
        assert restored.run("spine", "verify", "--owner", "ann").exit_code == 0
        assert restored.run(*command, *elsewhere.options[2:]).exit_code == 1


def test_what_an_erasure_could_not_remove_is_found_where_records_live(stored: Stored, storage: Storage) -> None:
    text = "the quick brown fox jumps over the lazy dog and runs away"
    in_store(stored.data, lambda store: _kept(store, text), storage=storage)
    if storage.database_url is None:
        stray = stored.data / "records" / stored.ann / "notes.txt"
        stray.parent.mkdir(exist_ok=True)
        stray.write_text(f"somebody noted {text}")
    else:
        asyncio.run(_plant(storage.database_url, stored.ann, text))
    [report] = told(stored, "erase", "--owner", "ann", "--connector", "files", exit_code=4)
    residue = report["receipt"]["residue"]
    assert residue["result"] == "residue"
    assert set(residue["found"]) == {"other" if storage.database_url is None else "databases"}


async def _kept(store: RecordStore, text: str) -> None:
    await ingest(store, await store.access.owner("ann"), "77", [], text=text)


async def _plant(url: str, owner: str, text: str) -> None:
    """A row with content where there must never be any."""
    connection = await asyncpg.connect(url)
    sql = "INSERT INTO central.checkpoints (owner, seq, made_at, document) VALUES ($1, 1000000, '', $2)"
    await connection.execute(sql, owner, text.encode())
    await connection.close()
