"""Random ingests, deletions and erasures, read by several clients, against the specification in plain Python.

The model keeps every state that ever was. What a caller sees of a state is decided here from the words of the
specification: no line of `records.reading.lens`, `records.reading.changes` or `records.reading.scan` is used.
"""

import asyncio
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.postgres import Database
from records.audit.disclosures import Disclosures
from records.central import Instance, Owner
from records.centrals.memory import MemoryCentral
from records.consent.scope import Grant, Scope, Selector, StreamGrant, TimeWindow
from records.engine import Engines
from records.engines.memory import MemoryEngines
from records.engines.postgres import PostgresEngines
from records.engines.sqlite import SingleFileEngines
from records.errors import Unknown
from records.keyring import Keyring
from records.model import Order, Partition, Target
from records.reading.lens import Removed, Shown
from records.reading.query import Listing, Shape
from records.reading.reach import Reaches
from records.reading.reads import Reads
from records.registry import Registry
from records.writing.ingest import Ingests
from records.writing.room import Room
from tests.fakes.postgres import Cluster

CONNECTOR, STREAM = "made", "things"


async def at_once(_owner: Owner, _of: Partition | str) -> None:
    """Nothing is waited for: here no erasure is ever cut off."""


INSTANCES = ("one", "two")
KEYS = ("k0", "k1", "k2", "é", 'k"4')
TIMES = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
MANIFEST = {
    "connector_id": CONNECTOR,
    "version": "1",
    "streams": [
        {
            "name": STREAM,
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "cursor_field": "at",
            "consent_time_field": "at",
            "schema": {"type": "object", "properties": {name: {} for name in ("id", "a", "b", "at")}},
        }
    ],
}

Name = tuple[str, str]
"""Instance and key."""


@dataclass(frozen=True)
class Life:
    """A record since it was created: each data that it had, and when that was emitted."""

    states: tuple[tuple[Mapping[str, Any], str], ...]

    @property
    def data(self) -> Mapping[str, Any]:
        return self.states[-1][0]


State = Mapping[Name, Life]


@dataclass(frozen=True)
class Client:
    """A caller in the words of the specification."""

    name: str
    instances: tuple[str, ...] = INSTANCES
    fields: frozenset[str] | None = None
    since: str | None = None
    until: str | None = None
    resources: frozenset[str] | None = None

    def sees(self, name: Name, data: Mapping[str, Any]) -> bool:
        at = data.get("at")
        if name[0] not in self.instances or (self.resources is not None and name[1] not in self.resources):
            return False
        if self.since is None and self.until is None:
            return True
        return at is not None and (self.since or "") <= at < (self.until or "~")

    def projection(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {field: value for field, value in data.items() if self.fields is None or field in self.fields}

    def seen(self, state: State) -> dict[Name, tuple[dict[str, Any], str]]:
        """What is visible of a state: data, and when it last changed for this client."""
        return {
            name: (self.projection(life.data), self._emitted_at(life))
            for name, life in state.items()
            if self.sees(name, life.data)
        }

    def _emitted_at(self, life: Life) -> str:
        if self.fields is None:
            return life.states[-1][1]
        moment, before = life.states[0][1], self.projection(life.states[0][0])
        for data, emitted_at in life.states[1:]:
            if self.projection(data) != before:
                moment, before = emitted_at, self.projection(data)
        return moment

    def scope(self, owner: Owner) -> Scope:
        if self.name == "owner":
            return Scope.of_owner(owner)
        bounded = self.since is not None or self.until is not None
        window = TimeWindow("at", _full(self.since), _full(self.until)) if bounded else None
        fields = self.fields or frozenset({"id", "a", "b", "at"})
        bounds = StreamGrant(STREAM, frozenset(self.instances), fields, window, self.resources)
        return Scope(owner, Grant(self.name, "app", CONNECTOR, "continuous", {STREAM: bounds}))


def _full(moment: str | None) -> str | None:
    return None if moment is None else moment.replace("Z", ".000000Z")


CLIENTS = (
    Client("owner"),
    Client("some fields", fields=frozenset({"id", "a"})),
    Client("other fields", fields=frozenset({"b"}), since=TIMES[1]),
    Client("window", fields=frozenset({"id", "a", "b", "at"}), since=TIMES[0], until=TIMES[1]),
    Client("resources", fields=frozenset({"id", "b"}), resources=frozenset({"k0", "é", "nobody"})),
    Client("instance", ("two",), frozenset({"id", "a", "at"})),
)

values = st.sampled_from([0, 1, 1.5, None, "x", [1], {"y": 2}])


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    key, emitted_at = draw(st.sampled_from(KEYS)), draw(st.sampled_from(TIMES))
    if draw(st.integers(0, 3)) == 0:
        return {"key": key, "op": "delete", "emitted_at": emitted_at}
    data = {"id": key, **draw(st.dictionaries(st.sampled_from(["a", "b"]), values))}
    at = draw(st.sampled_from([None, *TIMES, "absent"]))
    return {"key": key, "emitted_at": emitted_at, "data": data if at == "absent" else {**data, "at": at}}


@dataclass
class Follower:
    """A client that keeps a copy by following changes."""

    client: Client
    token: str = "beginning"
    known: int = 0
    """The state that the token stands for."""
    copy: dict[Name, dict[str, Any]] = field(default_factory=dict)
    """What it holds at that token: a session counts once it is through."""
    cursor: str | None = None
    horizon: int = 0
    draft: dict[Name, dict[str, Any]] = field(default_factory=dict)


class ReadsMachine(RuleBasedStateMachine):
    async def open(self) -> Engines:
        """New engines."""
        raise NotImplementedError

    async def close(self) -> None:
        await self.engines.close()

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.runner.run(self._open())
        self.states: list[State] = [{}]
        self.erased: dict[Name, int] = {}
        self.followers = [Follower(client) for client in CLIENTS]

    async def _open(self) -> None:
        central, keyring = MemoryCentral(), Keyring(bytes(range(32)))
        self.engines = await self.open()
        self.owner = await central.ensure_owner("ada", TIMES[0])
        registry = Registry(central)
        await registry.register(self.owner, json.dumps(MANIFEST).encode())
        for instance in INSTANCES:
            await central.add_instance(self.owner.id, Instance(instance, CONNECTOR, False, TIMES[0], None))
        catalogue = MemoryCatalogue()
        room = Room(catalogue, self.engines)
        self.ingests = Ingests(registry, self.engines, catalogue, keyring, room, at_once, at_once)
        reaches = Reaches(registry, central, self.engines)
        self.reads = Reads(reaches, self.engines, keyring, Disclosures(central, keyring))

    # -- what happens ----------------------------------------------------------------------------------------------

    @rule(instance=st.sampled_from(INSTANCES), batch=st.lists(lines(), min_size=1, max_size=5))
    def ingest(self, instance: str, batch: list[dict[str, Any]]) -> None:
        state = dict(self.states[-1])
        for each in batch:
            name = (instance, each["key"])
            if each.get("op") == "delete":
                state.pop(name, None)
            elif name not in state:
                state[name] = Life(((each["data"], each["emitted_at"]),))
            elif not _same(state[name].data, each["data"]):
                state[name] = Life((*state[name].states, (each["data"], each["emitted_at"])))
        self.states.append(state)
        self.runner.run(self._ingest(instance, batch))

    async def _ingest(self, instance: str, batch: list[dict[str, Any]]) -> None:
        ingest = await self.ingests.begin(self.owner, STREAM, Selector(CONNECTOR, instance))
        await ingest.apply([json.dumps(line).encode() for line in batch])
        assert ingest.rejected == 0

    @rule(instance=st.sampled_from(INSTANCES), key=st.none() | st.sampled_from(KEYS))
    def erase(self, instance: str, key: str | None) -> None:
        gone = {name for name in self.states[-1] if name[0] == instance and key in (None, name[1])}
        self.states.append({name: life for name, life in self.states[-1].items() if name not in gone})
        self.erased |= {(instance, each): len(self.states) - 1 for each in KEYS if key in (None, each)}
        self.runner.run(self._erase(Target(CONNECTOR, instance, STREAM, key, "at")))

    async def _erase(self, target: Target) -> None:
        engine = await self.engines.of(self.owner.id)
        while not (await engine.erase(target, TIMES[2], 3)).finished:
            pass

    # -- lists -----------------------------------------------------------------------------------------------------

    @rule(client=st.sampled_from(CLIENTS), order=st.sampled_from(Order), limit=st.integers(1, 4))
    def whole_list(self, client: Client, order: Order, limit: int) -> None:
        expected = client.seen(self.states[-1])
        places = {name: life.data.get("at") for name, life in self.states[-1].items() if name in expected}
        ranked = sorted(expected, key=lambda name: (places[name] or "", name[1], name[0]), reverse=order is Order.DESC)
        wanted = sorted(ranked, key=lambda name: places[name] is None)
        found: list[Shown | Removed] = []
        cursor = None
        while True:
            listing = Listing(limit, order, cursor)
            page = self.runner.run(self.reads.page(client.scope(self.owner), STREAM, Selector(), listing))
            found += page.records
            assert len(page.records) <= limit
            if page.next_cursor is None:
                break
            assert len(page.records) == limit
            cursor = page.next_cursor
        assert [_name(each) for each in found] == wanted
        assert {_name(each): (_data(each), each.emitted_at) for each in found} == expected

    @rule(client=st.sampled_from(CLIENTS), key=st.sampled_from(KEYS), instance=st.sampled_from(INSTANCES))
    def one_record(self, client: Client, key: str, instance: str) -> None:
        expected = client.seen(self.states[-1]).get((instance, key))
        ask = self.reads.record(client.scope(self.owner), STREAM, key, Selector(None, instance), Shape())
        try:
            shown = self.runner.run(ask)
        except Unknown:
            assert expected is None
        else:
            assert expected == (_data(shown), shown.emitted_at)

    @rule(client=st.sampled_from(CLIENTS))
    def count(self, client: Client) -> None:
        expected = client.seen(self.states[-1])
        (summary,) = self.runner.run(self.reads.streams(client.scope(self.owner), Selector()))
        assert summary.record_count == len(expected)
        if client.name != "owner":
            assert summary.last_updated == max((at for _, at in expected.values()), default=None)

    # -- changes ---------------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, len(CLIENTS) - 1), limit=st.integers(1, 4))
    def follow(self, number: int, limit: int) -> None:
        """A whole session while nothing else happens: exactly what is not as the client has it, once."""
        follower = self.followers[number]
        follower.cursor = None
        forgotten = self._forgotten(follower)
        before, now = follower.copy, follower.client.seen(self.states[-1])
        expected = {name for name, (data, _) in now.items() if before.get(name) != data}
        gone = before.keys() - now.keys()
        found = list(self._pages(follower, limit))
        assert len({_name(each) for each in found}) == len(found)
        assert {_name(each) for each in found if isinstance(each, Removed)} == gone
        shown = {_name(each): each for each in found if isinstance(each, Shown)}
        for name, each in shown.items():
            assert (_data(each), each.emitted_at) == now[name]
        assert expected <= shown.keys() <= expected | forgotten

    @rule(number=st.integers(0, len(CLIENTS) - 1), limit=st.integers(1, 3))
    def follow_one_page(self, number: int, limit: int) -> None:
        """A page of a session during which other things happen: nothing in it is newer than the session's horizon."""
        follower = self.followers[number]
        for each in self._page(follower, limit):
            if isinstance(each, Shown):
                seen = follower.client.seen(self.states[follower.horizon])
                assert seen[_name(each)][0] == _data(each)

    def _pages(self, follower: Follower, limit: int) -> Iterator[Shown | Removed]:
        yield from self._page(follower, limit)
        while follower.cursor is not None:
            yield from self._page(follower, limit)

    def _page(self, follower: Follower, limit: int) -> list[Shown | Removed]:
        if follower.cursor is None:
            follower.horizon, follower.draft = len(self.states) - 1, dict(follower.copy)
            listing = Listing(limit, changes_since=follower.token)
        else:
            listing = Listing(limit, cursor=follower.cursor)
        scope = follower.client.scope(self.owner)
        page = self.runner.run(self.reads.page(scope, STREAM, Selector(), listing))
        for each in page.records:
            if isinstance(each, Shown):
                follower.draft[_name(each)] = _data(each)
            else:
                follower.draft.pop(_name(each), None)
        follower.cursor = page.next_cursor
        if page.next_changes_since is not None:
            follower.token, follower.known, follower.copy = page.next_changes_since, follower.horizon, follower.draft
        return list(page.records)

    def _forgotten(self, follower: Follower) -> set[Name]:
        """Records that were erased since: what they said is not remembered, so one that came again may be told."""
        return {name for name, when in self.erased.items() if when > follower.known}

    def teardown(self) -> None:
        if not hasattr(self, "followers"):
            return
        for follower in self.followers:
            list(self._pages(follower, 3))
            list(self._pages(follower, 3))
            now = {name: data for name, (data, _) in follower.client.seen(self.states[-1]).items()}
            assert follower.copy == now
        self.runner.run(self.close())
        self.runner.close()
        self.folder.cleanup()


class OnSqlite(ReadsMachine):
    async def open(self) -> Engines:
        return SingleFileEngines(Path(self.folder.name))


class InMemory(ReadsMachine):
    async def open(self) -> Engines:
        return MemoryEngines()


class OnPostgres(ReadsMachine):
    cluster: Cluster

    async def open(self) -> Engines:
        self.name = await self.cluster.database()
        self.database = await Database.open(self.cluster.url(self.name))
        return await PostgresEngines.open(self.database)

    async def close(self) -> None:
        await super().close()
        await self.database.close()
        await self.cluster.drop(self.name)


def _name(of: Shown | Removed) -> Name:
    return of.partition.instance, of.key


def _data(of: Shown | Removed) -> dict[str, Any]:
    assert isinstance(of, Shown)
    data: dict[str, Any] = json.loads(of.data)
    return data


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.long
@pytest.mark.parametrize("machine", [InMemory, OnSqlite])
def test_clients_see_what_the_specification_says_whatever_happens(
    machine: type[ReadsMachine], rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    run(machine, rng, sized(15, 500))


@pytest.mark.long
def test_clients_see_the_same_in_postgresql(
    rng: random.Random, sized: Callable[[int, int], int], postgres: Cluster
) -> None:
    OnPostgres.cluster = postgres
    run(OnPostgres, rng, sized(5, 150))


def run(machine: type[ReadsMachine], rng: random.Random, examples: int) -> None:
    steps = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=bool(os.environ.get("BLOBSTORE_SOAK")),
    )
    run_state_machine_as_test(seed(rng.getrandbits(32))(machine), settings=steps)
