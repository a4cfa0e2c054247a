"""`blobstore bench`: each line measures, at a tiny size, and names the peers that it does not find."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import SEED, SOAK
from tools.bench.figures import Bench, Goal, Line, Of
from tools.bench.lines import LINES
from tools.bench.ours import ours
from tools.bench.pairs import Median, Pairs, interleaved
from tools.bench.peers import Missing
from tools.bench.peers.programs import program
from tools.bench.peers.reference import reference
from tools.bench.wire import fetched, head
from tools.cli import main

TINY = 0.001

HEAVY = {"console", "download-small", "hydrate", "hydrate-data", "rehydrate", "memory", "memory-export"}
"""Start several programs each: in a sample only one of them."""

SAMPLE = [line for line in LINES if SOAK or line.name not in HEAVY - {random.Random(SEED).choice(sorted(HEAVY))}]


@pytest.mark.parametrize("line", SAMPLE, ids=lambda line: line.name)
def test_each_line_measures_at_a_tiny_size_or_names_what_is_missing(
    line: Line, tmp_path: Path, database_url: str
) -> None:
    figures = list(line.figures(Bench(tmp_path, pairs=1, scale=TINY, workers=1, database_url=database_url)))
    assert figures
    for figure in figures:
        if figure.median is None:
            assert "not found" in figure.missing
        else:
            assert figure.median.value >= 0
            assert figure.goal is not None
    missing = {figure.missing.split()[0] for figure in figures if figure.missing} - {"PDPP"}
    if missing:
        pytest.skip(f"no such peer of the benchmarks here: {', '.join(sorted(missing))}")


def test_ours_and_the_peer_take_turns_and_begin_alternately() -> None:
    order: list[str] = []

    def work(name: str) -> float:
        order.append(name)
        return float(len(order))

    pairs = interleaved(lambda: work("ours"), lambda: work("peer"), 3)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer", "peer", "ours"]
    assert pairs == Pairs((4, 5, 8), (3, 6, 7))


def test_the_interval_of_a_median_leaves_out_what_it_may() -> None:
    assert Median.of([5, 1, 3, 2, 4]) == Median(3, 1, 5)
    assert Median.of(range(1, 16)) == Median(8, 4, 12)


def test_a_goal_is_about_the_rate_or_the_time() -> None:
    pairs = Pairs((2.0, 4.0), (1.0, 1.0))
    assert Goal(Of.RATE, 0.5).ratios(pairs) == [0.5, 0.25]
    assert Goal(Of.TIME, 3).ratios(pairs) == [2, 4]
    assert Goal(Of.RATE, 0.5).reached(0.5)
    assert not Goal(Of.RATE, 0.5).reached(0.4)
    assert Goal(Of.TIME, 3).reached(3)
    assert not Goal(Of.TIME, 3).reached(3.1)


def test_a_peer_that_is_not_there_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.bench.peers.programs.PLACES", "/nowhere")
    with pytest.raises(Missing, match="nginx not found: Debian's package nginx"):
        program("nginx")
    with pytest.raises(Missing, match="--reference http://TOKEN@HOST:PORT"), reference(None):
        pass


def test_a_reference_is_asked_as_this_server_is(tmp_path: Path) -> None:
    with ours(tmp_path / "data") as server:
        told = f"http://{server.token}@{server.url.removeprefix('http://')}"
        with reference(told) as other:
            (path,) = other.attach([b"content"])
            assert fetched(other.url, head("GET", other.url, path, 0, other.headers)) > 0


def test_what_was_measured_is_kept_with_machine_versions_and_command(tmp_path: Path) -> None:
    told = ["bench", "--only", "download", "--pairs", "1", "--scale", str(TINY), "--directory", str(tmp_path)]
    CliRunner().invoke(main, [*told, "--out", str(tmp_path / "out")])
    kept = json.loads((tmp_path / "out" / "download.json").read_text())
    assert {"line", "command", "measured", "pairs", "scale", "machine", "software", "figures"} <= set(kept)
    assert {"processor", "cores", "kernel", "memory_gib", "file_system", "load_before"} <= set(kept["machine"])
    assert {"blobstore", "python", "sqlite", "aiohttp", "nginx"} <= set(kept["software"])
    (figure,) = kept["figures"]
    assert figure["missing"] or len(figure["pairs"]["ours"]) == 1
    page = (tmp_path / "out" / "results.md").read_text()
    assert kept["work"] in page
    assert f"`blobstore bench --only download --pairs 1 --scale {TINY}`" in page
