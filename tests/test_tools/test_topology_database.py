"""`topology migrate` between files and a database: everything of a directory, there and back."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from records.layout import Topology
from tests.fakes.data_directory import CONNECTOR, Stored
from tests.fakes.topologies import stored_in
from tools.cli import main


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database."""
    with stored_in(Topology.POSTGRES, request) as storage:
        assert storage.database_url is not None
        yield storage.database_url


def migrate(stored: Stored, *options: str) -> list[Mapping[str, Any]]:
    result = stored.run("topology", "migrate", "--json", *options)
    assert result.exit_code == 0, result.output
    rows: list[Mapping[str, Any]] = json.loads(result.stdout)
    return rows


def exported(stored: Stored, tmp_path: Path, name: str) -> bytes:
    """All that an export has of ann."""
    out = tmp_path / f"{name}.tar"
    result = stored.run("export", "--owner", "ann", str(out))
    assert result.exit_code == 0, result.output
    return out.read_bytes()


def topologies(stored: Stored) -> set[str]:
    return {each["topology"] for each in json.loads(stored.run("topology", "show", "--json").stdout)}


def test_everything_moves_to_a_database_and_back_and_exports_are_the_same_bytes(
    stored: Stored, url: str, tmp_path: Path
) -> None:
    before = exported(stored, tmp_path, "before")
    came = [("ann", CONNECTOR, 4), ("bob", CONNECTOR, 1)]
    for number, to in enumerate(("postgres", "per-connector", "postgres", "single")):
        rows = migrate(stored, "--to", to, "--database-url", url)
        assert {(each["owner"], each["connector"]) for each in rows} == {each[:2] for each in came}
        assert topologies(stored) == {to}
        assert exported(stored, tmp_path, str(number)) == before
        assert (stored.data / "central.db").exists() == (to != "postgres")
        stored.doctor("--deep", exit_code=0)
        assert stored.run("spine", "verify", "--owner", "ann").exit_code == 0
        assert migrate(stored, "--to", to, "--database-url", url) == []


def test_records_stay_in_the_database_while_another_machine_serves_them(stored: Stored, url: str) -> None:
    migrate(stored, "--to", "postgres", "--database-url", url)
    row = "INSERT INTO central.locks VALUES ('host_other', 'other', 'x', '', now() + make_interval(secs => $1))"
    execute(url, row, 3600)
    for command in (["topology", "migrate", "--to", "single"], ["blobs", "migrate", "--to", "file"]):
        refused = stored.run(*command)
        assert (refused.exit_code, "other machines serve this store (other)" in refused.output) == (1, True)
    assert topologies(stored) == {"postgres"}
    execute(url, "UPDATE central.locks SET expires_at = now() WHERE $1 > 0", 1)
    migrate(stored, "--to", "single")


def execute(url: str, sql: str, value: int) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(sql, value)
        await connection.close()

    asyncio.run(run())


def test_one_owner_moves_alone(stored: Stored, url: str, tmp_path: Path) -> None:
    before = exported(stored, tmp_path, "before")
    migrate(stored, "--to", "postgres", "--database-url", url, "--owner", "ann")
    assert topologies(stored) == {"postgres", "single"}
    assert exported(stored, tmp_path, "after") == before
    assert (stored.data / "central.db").exists()
    migrate(stored, "--to", "single", "--owner", "ann")
    assert topologies(stored) == {"single"}
    assert exported(stored, tmp_path, "back") == before


def test_a_backup_is_refused_while_a_part_is_at_the_other_place(
    stored: Stored, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def refused_backup() -> None:
        told = stored.run("backup", str(tmp_path / "out"))
        assert (told.exit_code, "the records of ann" in told.output) == (1, True), told.output
        assert not list((tmp_path / "out").rglob("manifest.json"))

    before = exported(stored, tmp_path, "before")
    migrate(stored, "--to", "postgres", "--database-url", url, "--owner", "ann")
    refused_backup()
    migrate(stored, "--to", "postgres")
    migrate(stored, "--to", "single", "--owner", "ann")
    refused_backup()
    migrate(stored, "--to", "postgres")
    assert stored.run("backup", str(tmp_path / "out")).exit_code == 0
    with stored_in(Topology.POSTGRES, request) as empty:
        restored = Stored(tmp_path / "new", stored.ann)
        told = restored.run(
            "restore", str(tmp_path / "out"), "--ledger", str(stored.data / "erasures.ledger"), *empty.options[2:]
        )
        assert told.exit_code == 0, told.output
        assert exported(restored, tmp_path, "restored") == before


def test_a_backup_of_files_whose_move_was_cut_off_is_one_of_files(stored: Stored, url: str, tmp_path: Path) -> None:
    before = exported(stored, tmp_path, "before")
    migrate(stored, "--to", "postgres", "--database-url", url, "--owner", "ann")
    migrate(stored, "--to", "single", "--owner", "ann")
    assert stored.run("backup", str(tmp_path / "out")).exit_code == 0
    ledger = str(stored.data / "erasures.ledger")
    restored = Stored(tmp_path / "new", stored.ann)
    told = restored.run("restore", str(tmp_path / "out"), "--ledger", ledger)
    assert told.exit_code == 0, told.output
    assert "database_url" not in (restored.data / "blobstore.toml").read_text()
    assert exported(restored, tmp_path, "restored") == before


def test_a_database_must_be_named(stored: Stored) -> None:
    result = stored.run("topology", "migrate", "--to", "postgres")
    assert result.exit_code == 1
    assert "--database-url" in result.output


def refused(stored: Stored, *options: str) -> str:
    """What the command says that does nothing; configuration and records are as before."""
    before, there = (stored.data / "blobstore.toml").read_bytes(), topologies(stored)
    result = stored.run("topology", "migrate", "--to", "postgres", *options)
    assert result.exit_code == 1, result.output
    assert (stored.data / "blobstore.toml").read_bytes() == before
    assert topologies(stored) == there
    return result.output


def test_a_database_of_another_store_is_refused_before_anything_is_done(
    stored: Stored, url: str, tmp_path: Path
) -> None:
    other = ["--data", str(tmp_path / "other"), "--topology", "postgres", "--database-url", url]
    assert CliRunner().invoke(main, ["token", "create", "--owner", "eve", *other]).exit_code == 0
    assert "another store" in refused(stored, "--database-url", url)
    assert "another store" in refused(stored, "--database-url", url, "--owner", "ann")


def test_a_database_that_has_records_of_another_store_alone_is_refused(
    stored: Stored, url: str, tmp_path: Path
) -> None:
    other = ["--data", str(tmp_path / "other")]
    assert CliRunner().invoke(main, ["token", "create", "--owner", "eve", *other]).exit_code == 0
    move = ["topology", "migrate", "--to", "postgres", "--database-url", url, "--owner", "eve"]
    assert CliRunner().invoke(main, [*move, *other]).exit_code == 0
    assert "records of another store" in refused(stored, "--database-url", url)


def test_another_database_than_the_directory_has_is_refused_with_the_way_to_it(stored: Stored, url: str) -> None:
    migrate(stored, "--to", "postgres", "--database-url", url, "--owner", "ann")
    assert "go back to `--to single` first" in refused(stored, "--database-url", url.replace("/test", "/other"))


def test_a_role_that_may_make_nothing_is_told_so(stored: Stored, url: str) -> None:
    async def let_in() -> None:
        admin = await asyncpg.connect(url)
        await admin.execute("DROP ROLE IF EXISTS guest")
        await admin.execute("CREATE ROLE guest LOGIN")
        await admin.close()

    asyncio.run(let_in())
    guest = url.replace("blobstore@", "guest@")
    assert "may not make schemas" in refused(stored, "--database-url", guest)
    new = ["--data", str(stored.data.parent / "new"), "--topology", "postgres", "--database-url", guest]
    told = CliRunner().invoke(main, ["token", "create", "--owner", "ann", *new])
    assert (told.exit_code, "must own the database" in told.output) == (1, True), told.output
