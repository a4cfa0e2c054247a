"""No interleaving of uploads, batches, erasures, collections, scrubs and deaths loses or leaks (I1 to I4)."""

import random
from collections.abc import Callable

import pytest

from tests.interleavings.machine import Directory, run, shortest
from tests.interleavings.model import Violation
from tests.interleavings.mutants import MUTANTS, Mutant
from tests.interleavings.scenarios import SCENARIOS

STEPS = 100_000
"""Statements and file calls of a full run; `model` looks at everything after each."""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_interleaving_loses_or_leaks(
    template: Directory, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    done = runs = 0
    while done < sized(4_000, STEPS):
        seed = rng.getrandbits(32)
        try:
            done += run(template, seed)
        except Violation as violation:
            violation.add_note(f"seed {seed}")
            raise shortest(template, seed) or violation from None
        runs += 1
    print(f"{done} steps in {runs} runs")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_is_found(template: Directory, monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    mutant.plant(monkeypatch)
    with pytest.raises(Violation):
        SCENARIOS[mutant.scenario].play(template, mutant.near)
