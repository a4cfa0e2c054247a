"""`topology migrate` between files and a database: everything of a directory, there and back."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from records.layout import Topology
from tests.fakes.data_directory import CONNECTOR, Stored
from tests.fakes.topologies import stored_in


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


def test_one_owner_moves_alone(stored: Stored, url: str, tmp_path: Path) -> None:
    before = exported(stored, tmp_path, "before")
    migrate(stored, "--to", "postgres", "--database-url", url, "--owner", "ann")
    assert topologies(stored) == {"postgres", "single"}
    assert exported(stored, tmp_path, "after") == before
    assert (stored.data / "central.db").exists()
    migrate(stored, "--to", "single", "--owner", "ann")
    assert topologies(stored) == {"single"}
    assert exported(stored, tmp_path, "back") == before


def test_a_database_must_be_named(stored: Stored) -> None:
    result = stored.run("topology", "migrate", "--to", "postgres")
    assert result.exit_code == 1
    assert "--database-url" in result.output
