"""No interleaving of uploads, batches, erasures, collections, scrubs and deaths loses or leaks (I1 to I4)."""

import random
from collections.abc import Callable

import pytest

from tests.interleavings.machine import Directory, run

STEPS = 100_000
"""Statements and file calls of a full run; `model` looks at everything after each."""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_interleaving_loses_or_leaks(
    template: Directory, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    done = 0
    while done < sized(8_000, STEPS):
        seed = rng.getrandbits(32)
        print(f"seed {seed}, after {done} steps")
        done += run(template, 30, 60, seed)
    print(f"{done} steps")
