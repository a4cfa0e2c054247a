"""`migrate` shows what version each file has, and brings all to the latest."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlite_utils import Database, Migrations

from blobstore.postgres.migrations import Step
from records.layout import Topology
from records.schemas import STEPS
from records.versions import KINDS
from tests.fakes.data_directory import Stored, make, vandal
from tests.fakes.next_version import add_to
from tests.fakes.topologies import Storage, stored_in


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the program's next version."""
    for each in KINDS.values():
        monkeypatch.setattr(each, "_migrations", list(each._migrations))
        add_to(each)


def rows(stored: Stored, *options: str, exit_code: int = 0) -> list[Mapping[str, Any]]:
    result = stored.run("migrate", "--json", *options)
    assert result.exit_code == exit_code, result.output
    found: list[Mapping[str, Any]] = json.loads(result.stdout)
    return found


def states(stored: Stored, *options: str, exit_code: int = 0) -> list[str]:
    return [each["state"] for each in rows(stored, *options, exit_code=exit_code)]


def everything(stored: Stored) -> dict[str, bytes]:
    return {str(each.relative_to(stored.data)): each.read_bytes() for each in stored.data.rglob("*") if each.is_file()}


def test_the_status_names_every_file_and_changes_nothing(stored: Stored, upgraded: None) -> None:
    before = everything(stored)
    found = rows(stored, "--status")
    files = ["central.db", "catalogue.db", *sorted(f"records/{each.name}" for each in records(stored))]
    assert [each["file"] for each in found] == files
    assert [each["kind"] for each in found] == ["central", "catalogue", "records", "records"]
    assert {(each["version"], each["latest"] - each["version"], each["state"]) for each in found} == {(1, 2, "behind")}
    assert everything(stored) == before


def records(stored: Stored) -> list[Path]:
    return list((stored.data / "records").glob("*.db"))


def test_it_brings_every_file_to_the_latest_version(stored: Stored, upgraded: None) -> None:
    assert states(stored) == states(stored, "--status") == ["current"] * 4
    stored.doctor(exit_code=0)
    assert "current" in stored.run("migrate").output


@pytest.mark.parametrize("name", ["central", "catalogue", "records"])
def test_a_file_of_a_newer_version_is_refused_and_not_touched(stored: Stored, name: str) -> None:
    path = stored.data / f"{name}.db" if name != "records" else stored.data / "records" / f"{stored.ann}.db"
    newer = Migrations(name)
    newer._migrations = list(KINDS[name]._migrations)
    newer(name="m900_newer")(lambda db: None)
    with vandal(path) as db:
        newer.apply(Database(db))
        db.execute(f"PRAGMA user_version = {len(newer._migrations) << 16 | len(newer._migrations)}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    for options in ((), ("--status",)):
        assert states(stored, *options, exit_code=1).count("refused") == 1
    assert [(each["kind"], each["subject"]) for each in stored.doctor()] == [
        ("newer_version", str(path.relative_to(stored.data)))
    ]
    assert path.read_bytes() == before


def test_a_damaged_file_is_told_and_the_others_are_brought_up(stored: Stored, upgraded: None) -> None:
    path = stored.data / "records" / f"{stored.ann}.db"
    path.write_bytes(b"no database at all\n" * 500)
    assert sorted(states(stored, exit_code=1)) == ["current"] * 3 + ["damaged"]


def test_an_empty_file_is_damaged_and_not_filled(stored: Stored, upgraded: None) -> None:
    """Else what was in it looks as if it had never been written."""
    (stored.data / "records" / f"{stored.ann}.db").write_bytes(b"")
    for options in (["--status"], [], ["--status"]):
        assert states(stored, *options, exit_code=1).count("damaged") == 1


def test_there_must_be_a_data_directory(tmp_path: Path) -> None:
    assert Stored(tmp_path, "").run("migrate", "--status").exit_code == 1
    assert list(tmp_path.iterdir()) == []


SCHEMAS = ["central", "catalogue", "records"]


def execute(url: str, sql: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("storage", [Topology.POSTGRES], indirect=True)
def test_schemas_of_a_database_are_named_with_their_versions(
    tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, url = make(tmp_path / "data", storage), storage.database_url
    assert url is not None
    found = rows(stored, "--status")
    assert [each["file"] for each in found] == [f"schema {name}" for name in SCHEMAS]
    assert [each["kind"] for each in found] == SCHEMAS
    assert all(each["version"] == each["latest"] > 0 and each["state"] == "current" for each in found)
    monkeypatch.setitem(STEPS, "records", [*STEPS["records"], Step("next", "CREATE TABLE records.next (x INT)")])
    found = rows(stored, "--status")
    assert [each["state"] for each in found] == ["current", "current", "behind"]
    assert [each["latest"] - each["version"] for each in found] == [0, 0, 1]
    assert states(stored) == states(stored, "--status") == ["current"] * 3
    monkeypatch.undo()
    assert states(stored, exit_code=1) == states(stored, "--status", exit_code=1) == ["current", "current", "refused"]
    execute(url, "DROP TABLE records.next; DELETE FROM records.migrations WHERE name = 'next'")
    monkeypatch.setattr("blobstore.postgres.connection.RECONNECT", 0.0)
    away = rows(stored, "--status", "--database-url", f"postgresql:///none?host={tmp_path}", exit_code=1)
    assert {(each["version"], each["state"]) for each in away} == {(None, "unreadable")}


def test_schemas_that_moved_into_files_are_gone(stored: Stored, request: pytest.FixtureRequest) -> None:
    with stored_in(Topology.POSTGRES, request) as there:
        for to in ("postgres", "single"):
            moved = stored.run("topology", "migrate", *there.options[2:], "--to", to)
            assert moved.exit_code == 0, moved.output
    assert states(stored, "--status") == ["current"] * 4
