"""The configuration file keeps what the operator wrote into it when a command changes what it has to."""

from pathlib import Path

import pytest

from records.layout import CONFIGURATION, Topology
from tools.configuration import configured, fix_topology, readdress

WRITTEN = '# ours\ntopology = "postgres"\nquota = "1GB"  # each\n"database_url"="postgresql://old/db"\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / CONFIGURATION).write_text(WRITTEN)
    return tmp_path


def test_another_topology_leaves_all_else_as_it_stands(data: Path) -> None:
    fix_topology(data, Topology.SINGLE)
    assert (data / CONFIGURATION).read_text() == '# ours\nquota = "1GB"  # each\ntopology = "single"\n'


def test_an_address_is_written_down_without_its_password(data: Path) -> None:
    readdress(data, "postgresql://me:hush@new/db")
    assert "hush" not in (data / CONFIGURATION).read_text()
    assert configured(data / CONFIGURATION) == {
        "topology": "postgres",
        "quota": "1GB",
        "database_url": "postgresql://me@new/db",
    }


@pytest.mark.parametrize("none", [None, ""])
def test_no_address_is_none_in_the_file(data: Path, none: str | None) -> None:
    readdress(data, none)
    assert "database_url" not in configured(data / CONFIGURATION)
