"""The topologies that tests run in."""

import asyncio
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from blobstore.backends.where import IN_FILES as BLOBS_IN_FILES
from blobstore.backends.where import Where
from records.layout import Topology
from records.store import RecordStore
from tests.fakes.postgres import Cluster
from tests.fakes.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

SHARE, S3_SHARE = 0.25, 0.05
"""Of the tests that run in each topology, and in each with blobs in S3, when sizes are not full."""

READY = [Topology.SINGLE, Topology.MEMORY, Topology.PER_CONNECTOR, Topology.POSTGRES]
DURABLE = [each for each in READY if each is not Topology.MEMORY]
"""Those that commands know: they outlive the process."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A topology, and whether its blobs are in S3; written `postgres+s3`."""

    topology: Topology
    in_s3: bool = False

    @classmethod
    def parse(cls, text: str) -> "Kind":
        """From what `str` makes."""
        topology, _, blobs = text.partition("+")
        assert blobs in ("", "s3"), text
        return cls(Topology(topology), blobs == "s3")

    def __str__(self) -> str:
        return f"{self.topology}+s3" if self.in_s3 else str(self.topology)


KINDS = [*map(Kind, READY), Kind(Topology.SINGLE, True), Kind(Topology.POSTGRES, True)]
"""What servers are told from the outside: by nothing but their speed."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A topology, where its database is if it has one, and where its blobs are."""

    topology: Topology
    database_url: str | None = None
    where: Where = BLOBS_IN_FILES

    @property
    def options(self) -> list[str]:
        """What a command is told."""
        url = [] if self.database_url is None else ["--database-url", self.database_url]
        told = {"blobs": self.where.location, "s3-endpoint": self.where.endpoint, "s3-region": self.where.region}
        told["s3-ca-bundle"] = self.where.ca_bundle
        blobs = [] if self.where.is_files else [f"--{name}={value}" for name, value in told.items() if value]
        return ["--topology", str(self.topology), *url, *blobs]

    async def open(self, directory: Path, ledger: Path | None = None) -> RecordStore:
        """A store kept so."""
        return await RecordStore.open(
            directory, ledger=ledger, topology=self.topology, database_url=self.database_url, where=self.where
        )


IN_FILES = Storage(Topology.SINGLE)
"""The usual one."""


@contextmanager
def stored_in(kind: Kind | Topology, request: pytest.FixtureRequest, template: str | None = None) -> Iterator[Storage]:
    """Room of its own for a store: with a database, where it wants one, that is empty or a copy of the one named."""
    kind = kind if isinstance(kind, Kind) else Kind(kind)
    s3: S3Server | None = request.getfixturevalue("s3") if kind.in_s3 else None
    where = BLOBS_IN_FILES if s3 is None else s3.where()
    if kind.topology is not Topology.POSTGRES:
        yield Storage(kind.topology, where=where)
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = _run(cluster.database(template))
    yield Storage(kind.topology, cluster.url(name), where)
    _run(cluster.drop(name))


def kinds(test: str) -> list[Kind]:
    """Those that a test of the HTTP surface runs in: `single` always, others where the seed says so.

    BLOBSTORE_TOPOLOGIES names some, with commas between, in which all tests run; with full sizes it is all of them.
    """
    if told := os.environ.get("BLOBSTORE_TOPOLOGIES"):
        return [Kind.parse(name) for name in told.split(",")]
    if os.environ.get("BLOBSTORE_SOAK"):
        return KINDS
    seed = os.environ["BLOBSTORE_SEED"]
    chance = {each: random.Random(f"{seed}/{test}/{each}").random() for each in KINDS}
    share = {each: S3_SHARE if each.in_s3 else SHARE for each in KINDS} | {Kind(Topology.SINGLE): 1.0}
    return [each for each in KINDS if chance[each] < share[each]]


def one_of(cases: Sequence[T], test: str) -> Sequence[T]:
    """The one (topology, say) in which a long test runs this time, as the seed says; with full sizes all of them."""
    if os.environ.get("BLOBSTORE_SOAK"):
        return cases
    return [random.Random(f"{os.environ['BLOBSTORE_SEED']}/{test}").choice(cases)]


def _run(work: "Coroutine[object, object, str | None]") -> str:
    """Wait for it, whether or not a loop runs here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result() or ""
