"""The topologies that tests run in."""

import asyncio
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from records.layout import Topology
from tests.fakes.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Coroutine

SHARE = 0.25
"""Of the tests that run in each topology when sizes are not full."""

READY = [Topology.SINGLE, Topology.MEMORY, Topology.PER_CONNECTOR, Topology.POSTGRES]
DURABLE = [each for each in READY if each is not Topology.MEMORY]
"""Those that commands know: they outlive the process."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A topology, and where its database is if it has one."""

    topology: Topology
    database_url: str | None = None

    @property
    def options(self) -> list[str]:
        """What a command is told."""
        url = [] if self.database_url is None else ["--database-url", self.database_url]
        return ["--topology", str(self.topology), *url]


IN_FILES = Storage(Topology.SINGLE)
"""The usual one."""


@contextmanager
def stored_in(topology: Topology, request: pytest.FixtureRequest, template: str | None = None) -> Iterator[Storage]:
    """The topology with a database of its own, where it wants one: empty, or a copy of the one named."""
    if topology is not Topology.POSTGRES:
        yield Storage(topology)
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = _run(cluster.database(template))
    yield Storage(topology, cluster.url(name))
    _run(cluster.drop(name))


def topologies(test: str) -> list[Topology]:
    """Those that a test of the HTTP surface runs in: `single` always, others where the seed says so.

    BLOBSTORE_TOPOLOGIES names some, with commas between, in which all tests run; with full sizes it is all of them.
    """
    if told := os.environ.get("BLOBSTORE_TOPOLOGIES"):
        return [Topology(name) for name in told.split(",")]
    if os.environ.get("BLOBSTORE_SOAK"):
        return READY
    chance = {each: random.Random(f"{os.environ['BLOBSTORE_SEED']}/{test}/{each}").random() for each in READY}
    return [each for each in READY if each is Topology.SINGLE or chance[each] < SHARE]


def _run(work: "Coroutine[object, object, str | None]") -> str:
    """Wait for it, whether or not a loop runs here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result() or ""
