"""Random operations: the engines on SQLite and PostgreSQL answer as the one in memory does, whatever came before."""

import asyncio
import json
import os
import random
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from blobstore.postgres import Database
from records.engine import Engine
from records.engines.memory import MemoryEngine
from records.engines.postgres import PostgresEngines
from records.engines.sqlite import SqliteEngine
from records.errors import Fenced, Released
from records.history import Recorder
from records.model import Batch, Delete, Link, Order, Partition, Position, Put, Target
from records.order import sort_key
from tests.conformance.engine_values import Clock, digest_of, link_of
from tests.fakes.postgres import Cluster

CONNECTORS = ["a", "b\0"]
INSTANCES = ["one", "two"]
STREAMS = ["s", "t"]
KEYS = ["", "a", "a\0", "b", "é", "\U00010000"]
TIMES = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]
CURSORS = [None, True, -1, 2**53 + 1, 2.0**53, 1e99, "", "x\0", "x", [1], {"a": None}]

partitions = st.builds(Partition, st.sampled_from(CONNECTORS), st.sampled_from(INSTANCES), st.sampled_from(STREAMS))
keys, times, cursors = st.sampled_from(KEYS), st.sampled_from(TIMES), st.sampled_from(CURSORS)
DIGESTS = [digest_of(number) for number in range(5)]
digests = st.sampled_from(DIGESTS)
texts = st.sampled_from(["x", "y" * 300, "z" * 9000, 7, None])
links = st.lists(
    st.builds(link_of, st.integers(0, 4), st.sampled_from(["", "/0", "/1", "/a~1b"])),
    max_size=3,
    unique_by=lambda link: link.pointer,
).map(tuple)


@st.composite
def puts(draw: st.DrawFn) -> Put:
    key = draw(keys)
    data = {name: draw(texts) for name in draw(st.permutations(["at", "text"]))[draw(st.integers(0, 1)) :]}
    return Put(key, sort_key(draw(cursors)), json.dumps(data).encode(), draw(times), draw(links))


mutations = puts() | st.builds(Delete, keys, times, times)
batches = st.builds(
    Batch,
    partition=partitions,
    mutations=st.lists(mutations, max_size=12),
    epoch=st.integers(0, 1),
    release_epoch=st.sampled_from([None, None, 0, 1]),
    append_only=st.booleans(),
    event=st.none() | st.binary(max_size=3),
    recorder=st.just(Recorder(bytes(32), "at")),
)
targets = st.one_of(
    st.builds(Target, st.sampled_from(CONNECTORS)),
    st.builds(Target, st.sampled_from(CONNECTORS), st.sampled_from(INSTANCES)),
    st.builds(Target, st.sampled_from(CONNECTORS), st.sampled_from(INSTANCES), st.sampled_from(STREAMS)),
    st.builds(
        Target,
        st.sampled_from(CONNECTORS),
        st.sampled_from(INSTANCES),
        st.sampled_from(STREAMS),
        keys,
        st.sampled_from([None, "at"]),
    ),
)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    key = draw(keys)
    return Position(sort_key(draw(cursors)), draw(partitions), key)


async def _page(places: list[Partition], order: Order, engine: Engine) -> Any:
    return await engine.page(places, order, None, 1000)


async def _changes(place: Partition, engine: Engine) -> Any:
    """All that is remembered of changes."""
    of = (await engine.stats())[place]
    return [await engine.changes(place, max(of.floor, 1), max(of.floor, 1), of.version, 1000)] if of.version else []


async def _links_of(number: int, engine: Engine) -> Any:
    return await engine.links_of(digest_of(number), None, 1000)


async def _first_links(of: Target, engine: Engine) -> Any:
    return await engine.first_links(of, None, 1000)


async def _linking(of: Target, engine: Engine) -> Any:
    return await engine.linking(of, DIGESTS)


async def _erased(erasure: str, engine: Engine) -> Any:
    return await engine.erased(erasure)


async def _events(limit: int, engine: Engine) -> Any:
    """The events of its one outbox, whatever that is called."""
    return [(event.seq, event.body) for event in await engine.outbox(limit)]


async def _drained(seq: int, engine: Engine) -> None:
    (source,) = await engine.numbering()
    await engine.drained(source, seq)


class EngineMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "machine.db"
        self.clock = Clock()
        self.model: Engine = MemoryEngine(self.clock)
        self.engine: Engine = self.runner.run(self.open())

    async def open(self) -> Engine:
        """The engine with what it has kept."""
        return await SqliteEngine.open(self.path, self.clock)

    async def close(self) -> None:
        await self.engine.close()

    async def remove(self) -> None:
        """Leave nothing of it."""

    def both(self, step: Callable[[Engine], Awaitable[Any]]) -> Any:
        """What both answer, or raise; it must be the same."""
        answers = [self.runner.run(self._answer(step, engine)) for engine in (self.model, self.engine)]
        assert answers[0] == answers[1]
        return answers[0]

    @staticmethod
    async def _answer(step: Callable[[Engine], Awaitable[Any]], engine: Engine) -> Any:
        try:
            return await step(engine)
        except (Fenced, Released) as error:
            return type(error)

    @rule(batch=batches, adjust=st.booleans())
    def apply(self, batch: Batch, adjust: bool) -> None:
        if adjust:  # most batches should succeed
            place = batch.partition
            epoch = self.both(lambda engine: engine.epoch(place))
            batch = replace(batch, epoch=epoch, release_epoch=None)
        self.both(lambda engine: engine.apply(batch))

    @rule(what=targets, at=times, limit=st.integers(1, 5), erasure=st.sampled_from([None, "e1", "e2"]))
    def erase(self, what: Target, at: str, limit: int, erasure: str | None) -> None:
        self.both(lambda engine: engine.erase(what, at, limit, erasure))

    @rule(connector=st.sampled_from(CONNECTORS), instance=st.none() | st.sampled_from(INSTANCES))
    def fence(self, connector: str, instance: str | None) -> None:
        self.both(lambda engine: engine.fence(connector, instance))

    @rule(connector=st.sampled_from(CONNECTORS), some=st.lists(digests, max_size=3))
    def recount(self, connector: str, some: list[Any]) -> None:
        lost = self.both(lambda engine: engine.recount(connector, some))
        notes = self.both(lambda engine: engine.notes(connector, lost))
        self.both(lambda engine: engine.forget_notes(notes))

    @rule(place=partitions, key=keys, some=links, epoch=st.sampled_from([0, None]))
    def relink(self, place: Partition, key: str, some: tuple[Link, ...], epoch: int | None) -> None:
        (found,) = self.both(lambda engine: engine.get([place], key)) or [None]
        version = 1 if found is None else found.version
        if epoch is None:
            epoch = self.both(lambda engine: engine.release_epoch(place.connector))
        self.both(lambda engine: engine.relink(place, key, version, some, epoch))

    @rule(
        places=st.lists(partitions, max_size=4),
        order=st.sampled_from(Order),
        after=st.none() | positions(),
        limit=st.integers(1, 6),
        most=st.sampled_from([None, 0, 500]),
        kept=st.none() | st.sets(keys),
    )
    def page(
        self,
        places: list[Partition],
        order: Order,
        after: Position | None,
        limit: int,
        most: int | None,
        kept: set[str] | None,
    ) -> None:
        keep = None if kept is None else lambda _, key, data: key in kept and b"x" not in data
        self.both(lambda engine: engine.page(places, order, after, limit, max_bytes=most, keep=keep))

    @rule(place=partitions, some=st.lists(keys, max_size=4))
    def get(self, place: Partition, some: list[str]) -> None:
        self.both(lambda engine: engine.get([place], some))

    @rule(
        place=partitions,
        versions=st.tuples(*[st.integers(0, 20)] * 3).map(sorted),
        limit=st.integers(1, 5),
        most=st.sampled_from([None, None, 0, 500]),
        knew=st.dictionaries(keys, st.integers(0, 20), max_size=2),
    )
    def changes(
        self, place: Partition, versions: list[int], limit: int, most: int | None, knew: dict[str, int]
    ) -> None:
        """Counted back from the present version, so that most are within what is remembered."""
        of = self.both(lambda engine: engine.stats(place.connector)).get(place)
        newest = 0 if of is None else of.version
        since, after, horizon = (max(newest - 20 + version, 0) for version in versions)
        if since == 0 or of.floor <= since:  # else the answer means nothing
            floor = 0 if of is None else of.floor
            owed = {key: version for key, version in knew.items() if version in (0, *range(floor, since))}
            self.both(lambda engine: engine.changes(place, since, after, horizon, limit, max_bytes=most, owed=owed))

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(age=st.integers(-1, 20), limit=st.integers(1, 5))
    def forget(self, age: int, limit: int) -> None:
        self.both(lambda engine: engine.forget(self.clock.now - age, limit))

    @rule(digest=digests, after=st.none() | st.tuples(partitions, keys, st.sampled_from(["", "/0", "/9"])))
    def links_of(self, digest: Any, after: tuple[Partition, str, str] | None) -> None:
        self.both(lambda engine: engine.links_of(digest, after, 3))

    @rule(connector=st.sampled_from(CONNECTORS), after=st.none() | digests)
    def linked(self, connector: str, after: Any) -> None:
        self.both(lambda engine: engine.linked(connector, after, 2))

    @rule()
    def drain(self) -> None:
        events = self.both(partial(_events, 2))
        if events:
            self.both(partial(_drained, events[-1][0]))

    @rule()
    def sanitize(self) -> None:
        self.both(lambda engine: engine.sanitize(5.0))

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.close())
        self.engine = self.runner.run(self.open())

    @invariant()
    def answers_are_the_same(self) -> None:
        places = list(self.both(lambda engine: engine.stats()))
        for order in Order:
            self.both(partial(_page, places, order))
        for place in places:
            self.both(partial(_changes, place))
        for number in range(5):
            self.both(partial(_links_of, number))
        self.both(lambda engine: engine.linkers([digest_of(number) for number in range(10)]))
        self.both(lambda engine: engine.sums())
        self.both(lambda engine: engine.unlinked(1000))
        self.both(lambda engine: engine.unlinked(1000, CONNECTORS[0]))
        for target in (Target(CONNECTORS[0]), Target(CONNECTORS[0], INSTANCES[0])):
            self.both(partial(_first_links, target))
            self.both(partial(_linking, target))
        for erasure in ("e1", "e2"):
            self.both(partial(_erased, erasure))
        self.both(partial(_events, 1000))
        self.both(lambda engine: engine.check())
        self.both(lambda engine: engine.resum(repair=False))

    def teardown(self) -> None:
        self.runner.run(self.close())
        self.runner.run(self.remove())
        self.runner.close()
        self.folder.cleanup()


class OnPostgres(EngineMachine):
    cluster: Cluster
    name: str | None = None

    async def open(self) -> Engine:
        self.name = self.name or await self.cluster.database()
        self.database = await Database.open(self.cluster.url(self.name))
        return await (await PostgresEngines.open(self.database, self.clock)).of("o1")

    async def close(self) -> None:
        await super().close()
        await self.database.close()

    async def remove(self) -> None:
        assert self.name is not None
        await self.cluster.drop(self.name)


Sized = Callable[[tuple[int, int], tuple[int, int]], tuple[int, int]]


@pytest.mark.long
def test_both_engines_answer_alike_whatever_came_before(rng: random.Random, sized: Sized) -> None:
    run(EngineMachine, rng, *sized((12, 20), (300, 60)))


@pytest.mark.long
def test_the_engine_in_postgresql_answers_alike_too(rng: random.Random, sized: Sized, postgres: Cluster) -> None:
    OnPostgres.cluster = postgres
    run(OnPostgres, rng, *sized((6, 20), (150, 60)))


def run(machine: type[EngineMachine], rng: random.Random, examples: int, steps: int) -> None:
    machine = seed(rng.getrandbits(32))(machine)
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=bool(os.environ.get("BLOBSTORE_SOAK")),
    )
    run_state_machine_as_test(machine, settings=profile)
