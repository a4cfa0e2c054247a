"""The topologies that tests run in."""

import os
import random

from records.layout import Topology
from tests.conftest import SEED, SOAK

SHARE = 0.25
"""Of the tests that run in each topology when sizes are not full."""

READY = [Topology.SINGLE, Topology.MEMORY]


def topologies(test: str) -> list[Topology]:
    """Those that a test runs in: `single` always, others where the seed says so.

    BLOBSTORE_TOPOLOGIES names some, with commas between, in which all tests run.
    """
    if told := os.environ.get("BLOBSTORE_TOPOLOGIES"):
        return [Topology(name) for name in told.split(",")]
    if SOAK:
        return READY
    return [
        each for each in READY if each is Topology.SINGLE or random.Random(f"{SEED}/{test}/{each}").random() < SHARE
    ]
