"""`--topology` and `--database-url`: what is taken, what is written down, what is refused."""

import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from records.layout import Topology
from tests.fakes.data_directory import Stored
from tests.fakes.topologies import stored_in
from tools.cli import main
from tools.database import has_password, without_password
from tools.opening import Opening, configure

URLS = [
    ("postgresql://ann:secret@db.example:5432/store", "postgresql://ann@db.example:5432/store"),
    (
        "postgresql://ann@db.example/store?password=secret&application_name=x",
        "postgresql://ann@db.example/store?application_name=x",
    ),
    ("postgresql:///store?host=/run/postgresql&password=secret", "postgresql:///store?host=/run/postgresql"),
    ("postgres://:secret@/store", "postgres://@/store"),
]


@pytest.mark.parametrize(("url", "written"), URLS)
def test_no_password_is_written_down(tmp_path: Path, url: str, written: str) -> None:
    configure(Opening(tmp_path, "postgres", None, database_url=url))
    assert tomllib.loads((tmp_path / "blobstore.toml").read_text())["database_url"] == written
    assert (has_password(url), has_password(written)) == (True, False)


@pytest.mark.parametrize("url", ["postgresql:///store?host=/run/postgresql", "postgresql://db.example/store"])
def test_what_has_no_password_is_written_as_it_is(url: str) -> None:
    assert without_password(url) == url


@pytest.mark.parametrize(("url", "_"), URLS)
def test_a_password_on_the_command_line_is_refused(tmp_path: Path, url: str, _: str) -> None:
    command = ["usage", "--data", str(tmp_path / "data"), "--topology", "postgres", "--database-url", url]
    told = CliRunner().invoke(main, command)
    assert (told.exit_code, "must not stand here" in told.output, "secret@" in told.output) == (2, True, False)
    assert not (tmp_path / "data").exists()


def test_a_password_in_the_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blobstore.toml").write_text(f'topology = "postgres"\ndatabase_url = "{URLS[0][0]}"\n')
    told = CliRunner().invoke(main, ["usage", "--data", str(tmp_path)])
    assert (told.exit_code, "must have no password" in told.output) == (1, True)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"topology": "postgres"}, "needs --database-url"),
    ({"topology": None, "database_url": "postgresql:///store"}, "is for --topology postgres"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_a_database_and_its_topology_are_told_together(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(click.ClickException, match=message):
        configure(Opening(tmp_path, blobs=None, **given))
    assert not (tmp_path / "blobstore.toml").exists()


def test_another_topology_than_the_directory_has_is_refused_with_the_way_to_it(stored: Stored) -> None:
    before = (stored.data / "blobstore.toml").read_bytes()
    for command in (["usage"], ["doctor"], ["gc"], ["serve", "--port", "0"]):
        told = stored.run(*command, "--topology", "per-connector")
        assert told.exit_code != 0
        assert "`blobstore topology migrate` moves it" in told.output, command
    assert (stored.data / "blobstore.toml").read_bytes() == before
    assert not (stored.data / "records" / stored.ann).exists()


def test_so_it_is_where_nothing_is_in_files(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with stored_in(Topology.POSTGRES, request) as storage:
        data = ["--data", str(tmp_path / "data")]
        made = CliRunner().invoke(main, ["token", "create", "--owner", "ann", *data, *storage.options])
        assert made.exit_code == 0, made.output
        told = CliRunner().invoke(main, ["usage", *data, "--topology", "single"])
        assert (told.exit_code, "keeps topology = 'postgres'" in told.output) == (1, True), told.output


def test_an_address_is_written_down_once_the_database_was_opened(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.postgres.connection.RECONNECT", 0.0)
    data, told = tmp_path / "data", ["--topology", "postgres", "--database-url"]
    command = ["token", "create", "--owner", "ann", "--data", str(data)]
    wrong = f"postgresql:///typo?host={tmp_path}"
    for failing in (command, ["serve", "--port", "0", "--data", str(data)]):
        assert CliRunner().invoke(main, [*failing, *told, wrong]).exit_code == 1
        assert not (data / "blobstore.toml").exists()
    with stored_in(Topology.POSTGRES, request) as storage:
        for options in ([*told, str(storage.database_url)], []):
            made = CliRunner().invoke(main, [*command, *options])
            assert made.exit_code == 0, made.output
    assert storage.database_url is not None
    assert storage.database_url in (data / "blobstore.toml").read_text()


def test_the_topology_of_tests_cannot_be_chosen(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["serve", "--data", str(tmp_path), "--topology", "memory"]).exit_code == 2
    (tmp_path / "blobstore.toml").write_text('topology = "memory"\n')
    assert CliRunner().invoke(main, ["usage", "--data", str(tmp_path)]).exit_code != 0
