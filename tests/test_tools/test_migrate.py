"""`migrate` shows what version each file has, and brings all to the latest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database, Migrations

from records.versions import KINDS
from tests.fakes.data_directory import Stored, vandal
from tests.fakes.next_version import add_to


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


def test_there_must_be_a_data_directory(tmp_path: Path) -> None:
    assert Stored(tmp_path, "").run("migrate", "--status").exit_code == 1
    assert list(tmp_path.iterdir()) == []
