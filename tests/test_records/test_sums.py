"""Sums are what a recount finds, after every kind of write, erasure, collection and move."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from blobstore.catalogue import Totals
from blobstore.gc import Wanted
from records.consent.scope import Selector
from records.errors import Unknown
from records.layout import Topology
from records.store import RecordStore
from records.sums import month_of
from records.usage import overview_of
from tests.fakes.data_directory import MANIFEST, upload
from tests.fakes.recounted import require_true_sums
from tests.fakes.topologies import READY, Storage, stored_in

CONNECTORS = ("files", "mail")
STREAMS = ("documents", "photos")
KEYS = [str(number) for number in range(6)]
BODIES = [b"", b"a", b"bb" * 400, b"ccc"]
TIMES = ["2025-12-31T23:30:00Z", "2026-01-01T00:30:00+01:00", "2026-01-01T00:00:00.5z", "2026-02-03T04:05:06Z"]


@pytest.fixture(params=READY, ids=str)
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    with stored_in(request.param, request) as storage:
        yield storage


@dataclass
class Play:
    """Random changes of one owner's data."""

    rng: random.Random
    store: RecordStore
    erased: int = 0

    async def start(self) -> None:
        self.owner = await self.store.access.owner("ann")
        for connector in CONNECTORS:
            await self.store.registry.register(self.owner, json.dumps({**MANIFEST, "connector_id": connector}).encode())

    async def step(self) -> None:
        steps = [self.ingest] * 12 + [self.delete] * 4 + [self.claim] * 2 + [self.erase] * 2 + [self.collect]
        await self.rng.choice(steps)()

    async def ingest(self) -> None:
        connector, instance, stream = self._place()
        lines = []
        for key in self.rng.choices(KEYS, k=self.rng.randrange(1, 5)):
            bodies = self.rng.choices(BODIES, k=self.rng.choice([0, 0, 1, 2, 3]))
            blobs = [await upload(self.store, self.owner, each, key, stream, instance, connector) for each in bodies]
            refs = [{"blob_ref": {"blob_id": blob}} for blob in blobs]
            data = {"id": key, "attachments": refs, "text": "x" * self.rng.randrange(3)}
            lines.append({"key": key, "emitted_at": self.rng.choice(TIMES), "data": data})
        await self.lines(connector, instance, stream, lines)

    async def delete(self) -> None:
        keys = self.rng.sample(KEYS, 2)
        lines = [{"key": key, "emitted_at": self.rng.choice(TIMES), "op": "delete"} for key in keys]
        await self.lines(*self._place(), lines)

    async def claim(self) -> None:
        connector, instance, stream = self._place()
        key = self.rng.choice(KEYS)
        await upload(self.store, self.owner, self.rng.choice(BODIES), key, stream, instance, connector)

    async def collect(self) -> None:
        await self.store.collections.run(Wanted(0.0))

    async def erase(self) -> None:
        connector, instance, stream = self._place()
        covering = self.store.erasures.coverage
        chosen = self.rng.randrange(8)
        try:
            if chosen == 0:
                covered = await covering.of_connector(self.owner, connector)
                self.erased += 1
            else:
                key = None if chosen == 1 else self.rng.choice(KEYS)
                covered = await covering.of_records(self.owner, Selector(connector, instance), stream, key)
        except Unknown:
            return  # nothing ever came to this place
        assert (await self.store.erasures.erase(self.owner, covered, wait=20)).report.state == "done"
        await self.start()

    async def lines(self, connector: str, instance: str, stream: str, lines: Sequence[object]) -> None:
        ingest = await self.store.ingests.begin(self.owner, stream, Selector(connector, instance))
        await ingest.apply([json.dumps(line).encode() for line in lines])
        assert ingest.rejected == 0, ingest.rejections

    def _place(self) -> tuple[str, str, str]:
        connector = self.rng.choice(CONNECTORS)
        # An instance that was erased takes no writes any more.
        instance = f"{connector} {self.erased} {self.rng.randrange(2)}"
        return connector, instance, self.rng.choice(STREAMS)


@pytest.fixture
async def play(storage: Storage, tmp_path: Path, rng: random.Random) -> AsyncIterator[Play]:
    store = await storage.open(tmp_path / "data")
    play = Play(rng, store)
    await play.start()
    yield play
    await store.close()


async def test_sums_are_what_a_recount_finds_after_every_kind_of_change(
    play: Play, sized: Callable[[int, int], int]
) -> None:
    for _ in range(sized(3, 40)):
        for _ in range(8):
            await play.step()
        await require_true_sums(play.store, play.owner)


async def test_writers_at_once_leave_true_sums(play: Play, sized: Callable[[int, int], int]) -> None:
    for _ in range(sized(2, 20)):
        await asyncio.gather(*(play.ingest() for _ in range(8)), *(play.delete() for _ in range(2)), play.collect())
        await require_true_sums(play.store, play.owner)


async def test_what_two_connectors_hold_is_saved_once_more(play: Play) -> None:
    for connector in CONNECTORS:
        blob = await upload(play.store, play.owner, BODIES[2], "1", "documents", connector, connector)
        data = {"id": "1", "attachments": [{"blob_ref": {"blob_id": blob}}]}
        await play.lines(connector, connector, "documents", [{"key": "1", "emitted_at": TIMES[0], "data": data}])
    total = (await require_true_sums(play.store, play.owner)).total
    assert (total.blob_bytes, total.saved_bytes, total.logical_bytes) == (800, 800, 1600)


async def test_an_erased_owner_leaves_no_sums(play: Play) -> None:
    for _ in range(5):
        await play.ingest()
    covered = await play.store.erasures.coverage.of_owner(play.owner)
    await play.store.erasures.erase(play.owner, covered, wait=20)
    assert await (await play.store.engines.of(play.owner.id)).sums() == {}
    assert await play.store.blobs.catalogue.totals(play.owner.id) == Totals(0, 0, 0, 0, 0)


async def test_sums_of_files_that_rest_are_told_without_opening_them(tmp_path: Path, rng: random.Random) -> None:
    storage = Storage(Topology.PER_CONNECTOR)
    store = await storage.open(tmp_path / "data")
    play = Play(rng, store)
    await play.start()
    for _ in range(6):
        await play.ingest()
    before = await overview_of(store, play.owner)
    await store.close()
    store = await storage.open(tmp_path / "data")
    try:
        assert await overview_of(store, play.owner) == before
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("emitted_at", "month"),
    [(TIMES[0], "2025-12"), (TIMES[1], "2025-12"), (TIMES[2], "2026-01"), ("9999-12-31T23:59:60Z", "9999-12")],
)
def test_the_month_of_a_record_is_that_of_its_time_in_utc(emitted_at: str, month: str) -> None:
    assert month_of(emitted_at) == month
