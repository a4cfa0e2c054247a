"""The oracle: all topologies answer alike, and a server that does one thing otherwise is found.

BLOBSTORE_TOPOLOGIES   the servers that are compared, as for tests of the HTTP surface (default: two; all in a full run)
BLOBSTORE_ORACLE_SEED  what its requests are made from
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import pytest
from click.testing import CliRunner

from records.layout import Topology
from tests.conftest import SOAK
from tests.fakes.topologies import KINDS, READY, Kind, Storage, one_of, stored_in
from tests.oracle.planted import INSIDE, MISTAKES, RULES
from tests.oracle.servers import Plant, nothing, serving
from tools.cli import main
from tools.oracle import described, tell
from tools.oracle.run import Difference, Outcome, run

IN_MEMORY = Storage(Topology.MEMORY)

SEED = 7
TOLD_SEED = int(os.environ.get("BLOBSTORE_ORACLE_SEED") or SEED)
EARLY = {
    **{"stream": 6, "instance": 1, "field": 4, "time": 8},
    **{"an event is not on the spine": 14, "a link is not told": 3},
    Topology.POSTGRES: 14,
}
"""Seeds that meet these faults within 260 requests."""

SAMPLE = 1000
FOUND_WITHIN = 1500
"""Requests that show any mistake."""

SHAPES = 200
"""Shapes that a run must have at least."""


Compare = Callable[..., Outcome]


@pytest.fixture
def compare(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """A run over servers of these topologies; all but the first have a fault planted."""
    monkeypatch.setattr("server.handlers.erasures.WAIT", 600.0)  # one that is slow is no other

    def compared(
        topologies: Sequence[Topology | Kind], requests: int, plant: Plant = nothing, seed: int = SEED
    ) -> Outcome:
        with ExitStack() as stack:
            targets = []
            for number, each in enumerate(topologies):
                storage = stack.enter_context(stored_in(each, request))
                fault = plant if number else nothing
                targets.append(stack.enter_context(serving(tmp_path / f"{number}", storage, fault)))
            return asyncio.run(run(targets, seed, requests))

    return compared


@pytest.mark.long
@pytest.mark.timeout(7200 if SOAK else 300)
def test_every_topology_answers_alike(compare: Compare, sized: Callable[[int, int], int]) -> None:
    told = os.environ.get("BLOBSTORE_TOPOLOGIES")
    sample = [Topology.SINGLE, *one_of([each for each in READY if each is not Topology.SINGLE], "oracle")]
    servers = [Kind.parse(name) for name in told.split(",")] if told else KINDS if SOAK else sample
    began = time.monotonic()
    outcome = compare(servers, sized(SAMPLE, 20_000), seed=TOLD_SEED)
    tell(outcome, time.monotonic() - began)
    assert outcome.difference is None, described(outcome.difference, TOLD_SEED)
    assert len(outcome.shapes) >= SHAPES


IN_FILES = [each for each in READY if each is not Topology.POSTGRES]
EVERY_RULE = [(topology, rule) for topology in READY for rule in RULES]
ONE_EACH = list(zip(cycle(IN_FILES), RULES, strict=False))


@pytest.mark.long
@pytest.mark.parametrize(("topology", "rule"), EVERY_RULE if SOAK else ONE_EACH)
def test_a_fault_in_any_rule_of_any_engine_is_found(compare: Compare, topology: Topology, rule: str) -> None:
    seed = EARLY.get(rule, SEED)
    found = compare([Topology.MEMORY, topology], FOUND_WITHIN, RULES[rule], seed).difference
    require_found(found, seed)


def require_found(found: Difference | None, seed: int, *, fails: bool = False) -> None:
    """There is a difference, and it is not that the mistake, planted into a text that has changed, fails by itself."""
    assert found is not None
    print(described(found, seed))
    assert fails or found.theirs is None or found.theirs.status < 500, "the mistake itself fails"


EVERY_MISTAKE = [(topology, mistake) for topology in READY for mistake in MISTAKES]
ONE_MISTAKE_EACH = list(zip(cycle(IN_FILES), MISTAKES, strict=False))


@pytest.mark.long
@pytest.mark.parametrize(("topology", "mistake"), EVERY_MISTAKE if SOAK else ONE_MISTAKE_EACH)
def test_a_mistake_of_any_engine_is_found(compare: Compare, topology: Topology, mistake: str) -> None:
    seed = EARLY.get(mistake, SEED)
    found = compare([Topology.MEMORY, topology], FOUND_WITHIN, MISTAKES[mistake], seed).difference
    require_found(found, seed, fails=mistake == "a server fails")


@pytest.mark.long
@pytest.mark.parametrize("topology", [each for each in INSIDE if each in READY])
def test_a_mistake_inside_an_engine_is_found(
    compare: Compare, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*INSIDE[topology])
    seed = EARLY.get(topology, SEED)
    found = compare([Topology.MEMORY, topology], FOUND_WITHIN, seed=seed).difference
    require_found(found, seed)


def test_the_command_prints_the_shapes_and_their_shares(tmp_path: Path) -> None:
    with serving(tmp_path / "0", IN_MEMORY) as one, serving(tmp_path / "1", IN_MEMORY) as two:
        urls = [f"--base-url={one.base_url}", f"--base-url={two.base_url}"]
        result = CliRunner().invoke(
            main, ["oracle", *urls, f"--token={one.token}", f"--token={two.token}", "--requests=100", "--seed=3"]
        )
    assert result.exit_code == 0, result.output
    assert "POST /v1/connectors | new | owner | 201" in result.output
    assert "100 requests of " in result.output


def test_the_command_tells_what_was_asked_and_what_came(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "0", IN_MEMORY) as one,
        serving(tmp_path / "1", IN_MEMORY, RULES["field"]) as two,
    ):
        urls = [f"--base-url={one.base_url}", f"--base-url={two.base_url}"]
        result = CliRunner().invoke(
            main, ["oracle", *urls, f"--token={one.token}", f"--token={two.token}", f"--requests={SAMPLE}"]
        )
    assert result.exit_code == 1, result.output
    assert "of seed 1 is answered otherwise by" in result.output
    assert "(as client of " in result.output
