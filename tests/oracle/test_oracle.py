"""The oracle: all topologies answer alike, and a server that does one thing otherwise is found."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import pytest
from click.testing import CliRunner

from records.layout import Topology
from tests.conftest import SOAK
from tests.fakes.topologies import READY
from tests.oracle.planted import MISTAKES, RULES
from tests.oracle.servers import nothing, serving
from tools.cli import main
from tools.oracle import described
from tools.oracle.run import Outcome, run

SEED = 7
SAMPLE = 1500
SHAPES = 200
"""Shapes that a run must have at least."""


def compared(
    tmp_path: Path, topologies: list[Topology], requests: int, plant: Callable[..., None] = nothing
) -> Outcome:
    """A run over servers of these topologies; the last has a fault planted."""
    with ExitStack() as stack:
        targets = [
            stack.enter_context(serving(tmp_path / f"{number}", each, plant if number else nothing))
            for number, each in enumerate(topologies)
        ]
        return asyncio.run(run(targets, SEED, requests))


@pytest.mark.long
@pytest.mark.timeout(3600 if SOAK else 300)
def test_every_topology_answers_alike(tmp_path: Path, sized: Callable[[int, int], int]) -> None:
    outcome = compared(tmp_path, READY, sized(SAMPLE, 20_000))
    assert outcome.difference is None, described(outcome.difference, SEED)
    assert len(outcome.shapes) >= SHAPES


EVERY_RULE = [(topology, rule) for topology in READY for rule in RULES]
ONE_EACH = list(zip(cycle(READY), RULES, strict=False))


@pytest.mark.long
@pytest.mark.parametrize(("topology", "rule"), EVERY_RULE if SOAK else ONE_EACH)
def test_a_fault_in_any_rule_of_any_engine_is_found(tmp_path: Path, topology: Topology, rule: str) -> None:
    found = compared(tmp_path, [Topology.SINGLE, topology], SAMPLE, RULES[rule]).difference
    assert found is not None
    print(described(found, SEED))


EVERY_MISTAKE = [(topology, mistake) for topology in READY for mistake in MISTAKES]
ONE_MISTAKE_EACH = list(zip(cycle(reversed(READY)), MISTAKES, strict=False))


@pytest.mark.long
@pytest.mark.parametrize(("topology", "mistake"), EVERY_MISTAKE if SOAK else ONE_MISTAKE_EACH)
def test_a_mistake_of_any_engine_is_found(tmp_path: Path, topology: Topology, mistake: str) -> None:
    found = compared(tmp_path, [Topology.SINGLE, topology], SAMPLE, MISTAKES[mistake]).difference
    assert found is not None
    print(described(found, SEED))


def test_the_command_prints_the_shapes_and_their_shares(tmp_path: Path) -> None:
    with serving(tmp_path / "0", Topology.MEMORY) as one, serving(tmp_path / "1", Topology.MEMORY) as two:
        urls = [f"--base-url={one.base_url}", f"--base-url={two.base_url}"]
        result = CliRunner().invoke(
            main, ["oracle", *urls, f"--token={one.token}", f"--token={two.token}", "--requests=100", "--seed=3"]
        )
    assert result.exit_code == 0, result.output
    assert "POST /v1/connectors | new | owner | 201" in result.output
    assert "100 requests of " in result.output


def test_the_command_tells_what_was_asked_and_what_came(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "0", Topology.MEMORY) as one,
        serving(tmp_path / "1", Topology.MEMORY, RULES["field"]) as two,
    ):
        urls = [f"--base-url={one.base_url}", f"--base-url={two.base_url}"]
        result = CliRunner().invoke(
            main, ["oracle", *urls, f"--token={one.token}", f"--token={two.token}", f"--requests={SAMPLE}"]
        )
    assert result.exit_code == 1, result.output
    assert "of seed 1 is answered otherwise by" in result.output
    assert "(as client of " in result.output
