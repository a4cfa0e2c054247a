"""`blobstore topology`: where records live, and moving them."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from records.layout import CONFIGURATION
from tests.fakes.data_directory import CONNECTOR, Stored, make
from tools.configuration import configured


@pytest.fixture
def directory(tmp_path: Path) -> Stored:
    return make(tmp_path / "data")


def topologies(directory: Stored) -> set[str]:
    shown = directory.run("topology", "show", "--json")
    assert shown.exit_code == 0, shown.output
    return {each["topology"] for each in json.loads(shown.stdout) if each["connector"] == CONNECTOR}


def migrate(directory: Stored, to: str, *options: str) -> Result:
    result = directory.run("topology", "migrate", "--to", to, "--json", *options)
    assert result.exit_code == 0, result.output
    return result


def test_all_owners_move_there_and_back_and_nothing_is_wrong_then(directory: Stored) -> None:
    for to in ("per-connector", "single"):
        moved = json.loads(migrate(directory, to).stdout)
        assert [(each["owner"], each["streams"]) for each in moved] == [("ann", 2), ("bob", 1)]
        assert topologies(directory) == {to}
        assert configured(directory.data / CONFIGURATION)["topology"] == to
        assert directory.doctor(exit_code=0) == []
    assert json.loads(migrate(directory, "single").stdout) == []


def test_one_owner_moves_alone_and_the_directory_stays_what_it_is(directory: Stored) -> None:
    migrate(directory, "per-connector", "--owner", "ann")
    assert topologies(directory) == {"single", "per-connector"}
    assert configured(directory.data / CONFIGURATION)["topology"] == "single"
    assert directory.doctor(exit_code=0) == []
