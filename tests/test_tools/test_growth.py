"""`bench growth`: each kind measures what it says, at sizes that take seconds."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from tests.conftest import SEED, SOAK
from tools.bench.growth import connections, connectors, growth, records
from tools.bench.growth.figures import Figure, Growth


def test_the_exponent_tells_how_the_cost_grows_and_a_rate_is_the_reverse_of_a_cost() -> None:
    flat, linear = Figure("page", "ms", values=[2, 2]), Figure("list", "ms", must=1, values=[2, 20])
    rate = Figure("ingest", "/s", values=[100, 10])
    rows = list(Growth("grown", "records", [10, 100], [flat, linear, rate]).rows())
    assert [(row["exponent"], row["within"]) for row in rows] == [(0, True), (1, True), (1, False)]


def test_blobs_are_measured_and_kept_as_json_and_as_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    arguments = ["--only", "blobs", "--largest", "1000", "--directory", str(tmp_path), "--out", str(out)]
    assert (told := CliRunner().invoke(growth, arguments)).exit_code == 0, told.output
    kept = json.loads((out / "growth-blobs.json").read_bytes())
    assert kept["growth"]["sizes"] == [1000]
    assert {figure["name"] for figure in kept["growth"]["figures"]} >= {"usage", "download of 4 KiB"}
    assert ElementTree.parse(out / "growth-blobs.svg").getroot().tag.endswith("svg")


KINDS: dict[str, Callable[[Path], Growth]] = {
    "records": lambda scratch: records.measure(scratch, [1000]),
    "connections": lambda scratch: connections.measure(scratch, [2], 0.1),
    "connectors": lambda scratch: connectors.measure(scratch, [2], "per-connector", settled=0.1),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS if SOAK else [random.Random(SEED).choice(list(KINDS))])
def test_records_connections_and_connectors_are_measured(kind: str, tmp_path: Path) -> None:
    grown = KINDS[kind](tmp_path)
    assert all(len(each.values) == 1 and each.values[0] > 0 for each in grown.figures), grown
