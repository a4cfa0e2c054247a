"""Owners' records from one file into many and back, while another process goes on with them."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from blobstore.fuse import Fuse
from blobstore.gc import Wanted
from blobstore.sqlite import sqlite3
from records.central import Owner
from records.engines.sqlite import SqliteEngine
from records.errors import Conflict
from records.layout import Topology
from records.model import Target
from records.moving import copying, moves, switching
from records.moving.checking import check_copy
from records.moving.marks import moving
from records.store import RecordStore
from records.transfer import Mark, Stage
from tests.fakes.data_directory import MANIFEST, delete, ingest, upload

CONNECTORS = ("files", "mail", "chat")


@pytest.fixture
async def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(copying, "ITEMS", 5)
    async with opened(tmp_path / "data", Topology.SINGLE) as store:
        owner = await store.access.owner("ann")
        for connector in CONNECTORS:
            manifest = {**MANIFEST, "connector_id": connector}
            await store.registry.register(owner, json.dumps(manifest).encode())
            blob = await upload(store, owner, connector.encode(), "1", connector=connector)
            await ingest(store, owner, "1", [blob], connector=connector)
            for number in range(2, 20):
                await ingest(store, owner, f"{number}", [], connector=connector, text=f"{number}" * 9)
            await ingest(store, owner, "3", [blob], connector=connector, text="changed")
            await delete(store, owner, "4", connector=connector)
    return tmp_path / "data"


class opened:  # reads as a verb
    def __init__(self, data: Path, topology: Topology) -> None:
        self._data, self._topology = data, topology

    async def __aenter__(self) -> RecordStore:
        self._store = await RecordStore.open(self._data, topology=self._topology)
        return self._store

    async def __aexit__(self, *_: object) -> None:
        await self._store.close()


async def owner_of(store: RecordStore) -> Owner:
    (owner,) = await store.central.owners()
    return owner


async def move(store: RecordStore, to: Topology) -> list[str]:
    assert store.moves is not None
    return [each.connector async for each in store.moves.move(await owner_of(store), to, lambda _, rows: None)]


async def everything(store: RecordStore) -> Any:
    """All records with their links, all that changed, and what is let go of."""
    owner = await owner_of(store)
    engine = await store.engines.of(owner.id)
    stats = await engine.stats()
    seen = await engine.visit(list(stats), lambda records: [(record, list(links)) for record, links in records])
    changes = [await engine.changes(place, of.floor, of.floor, of.version, 1000) for place, of in stats.items()]
    return stats, seen, changes, await engine.unlinked(100)


def files(data: Path) -> list[str]:
    return sorted(path.relative_to(data).as_posix() for path in (data / "records").rglob("*.db"))


@pytest.mark.parametrize("elsewhere", [Topology.SINGLE, Topology.PER_CONNECTOR])
async def test_all_is_as_it_was_there_and_back_for_whoever_has_it_open(data: Path, elsewhere: Topology) -> None:
    async with opened(data, elsewhere) as server, opened(data, Topology.SINGLE) as mover:
        before = await everything(server)
        assert await move(mover, Topology.PER_CONNECTOR) == sorted(CONNECTORS)
        assert await everything(server) == before == await everything(mover)
        assert len(files(data)) == 1 + len(CONNECTORS)
        assert await move(mover, Topology.PER_CONNECTOR) == []
        assert await move(mover, Topology.SINGLE) == sorted(CONNECTORS)
        assert await everything(server) == before == await everything(mover)
        assert len(files(data)) == 1
        assert await move(mover, Topology.SINGLE) == []
        engine = await server.engines.of((await owner_of(server)).id)
        assert await engine.marks() == []
        assert await engine.check() == []


async def test_what_moved_is_on_the_spine_which_names_no_place(data: Path) -> None:
    async with opened(data, Topology.SINGLE) as store:
        await move(store, Topology.PER_CONNECTOR)
        events = [json.loads(each.body) for each in await store.audit.events(await owner_of(store), 0, 1000)]
    moved = [each for each in events if each["kind"] == "records.move"]
    assert [each["connector"] for each in moved] == sorted(CONNECTORS)
    assert {each["records"] for each in moved} == {18}
    assert "per-connector" not in json.dumps(moved)


async def test_what_is_new_meanwhile_is_found_by_everybody(data: Path) -> None:
    async with opened(data, Topology.SINGLE) as server, opened(data, Topology.SINGLE) as mover:
        owner = await owner_of(server)
        await move(mover, Topology.PER_CONNECTOR)
        await server.registry.register(owner, json.dumps({**MANIFEST, "connector_id": "new"}).encode())
        await ingest(server, owner, "1", [], connector="new")
        assert await everything(server) == await everything(mover)
        assert len(files(data)) == 2 + len(CONNECTORS)
        assert "new" in await move(mover, Topology.SINGLE)
        await ingest(server, owner, "2", [], connector="new")
        assert await everything(server) == await everything(mover)
        assert len(files(data)) == 1


async def test_two_do_not_move_one_owner_at_once(data: Path) -> None:
    async with opened(data, Topology.SINGLE) as store:
        assert store.moves is not None
        first = store.moves.move(await owner_of(store), Topology.PER_CONNECTOR, lambda _, rows: None)
        await anext(first)
        with pytest.raises(Conflict):
            await move(store, Topology.PER_CONNECTOR)
        assert isinstance(first, AsyncGenerator)
        await first.aclose()


@pytest.mark.long
async def test_nothing_that_was_acknowledged_is_lost_under_load(
    data: Path, rng: random.Random, sized: Callable[[float, float], float]
) -> None:
    stop, rest = asyncio.Event(), sized(0.01, 0)
    known: dict[tuple[str, str], str | None] = {}

    async def write(store: RecordStore, owner: Owner, connector: str, name: str) -> None:
        while not stop.is_set():
            key, text = f"{name}{rng.randrange(9)}", f"{rng.random()}"
            if rng.random() < 0.2:
                await delete(store, owner, key, connector=connector)
                known[connector, key] = None
            else:
                blobs = (
                    [await upload(store, owner, text.encode(), key, connector=connector)] if rng.random() < 0.3 else []
                )
                await ingest(store, owner, key, blobs, connector=connector, text=text)
                known[connector, key] = text
            assert await read(store, owner, connector, key) == known[connector, key]
            await asyncio.sleep(rest)

    async with (
        opened(data, Topology.SINGLE) as one,
        opened(data, Topology.PER_CONNECTOR) as two,
        opened(data, Topology.SINGLE) as mover,
    ):
        owner = await owner_of(one)
        writers = [
            asyncio.create_task(write(store, owner, connector, f"{number}-"))
            for number, store in enumerate((one, two))
            for connector in CONNECTORS
        ]
        try:
            for to in (Topology.PER_CONNECTOR, Topology.SINGLE):
                await move(mover, to)
                # The faster the writers are the more of all is garbage: here that is nothing suspicious.
                await one.collections.run(Wanted(0, fuse=Fuse(max_share=1)))
        finally:
            stop.set()
            await asyncio.gather(*writers)
        for (connector, key), text in known.items():
            assert await read(two, owner, connector, key) == text
        for store in (one, two, mover):
            engine = await store.engines.of(owner.id)
            assert await engine.check() == []
        links = [link.digest for _, links in (await everything(one))[1] for link in links]
        stored = {each.name.digest for each in await one.blobs.catalogue.walk(None, 10_000)}
        assert set(links) <= stored
        assert len(known) > 20


async def read(store: RecordStore, owner: Owner, connector: str, key: str) -> str | None:
    engine = await store.engines.of(owner.id)
    places = [place for place in await engine.stats(connector) if place.stream == "documents"]
    found = await engine.get(places, [key])
    return json.loads(found[0].data).get("text") if found else None


async def test_an_erasure_takes_a_copy_that_is_being_made(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied, erased = asyncio.Event(), asyncio.Event()

    async def check_later(*args: Any) -> Any:
        copied.set()
        await erased.wait()
        return await check_copy(*args)

    monkeypatch.setattr(switching, "check_copy", check_later)
    async with opened(data, Topology.SINGLE) as server, opened(data, Topology.SINGLE) as mover:
        owner = await owner_of(server)
        task = asyncio.create_task(move(mover, Topology.PER_CONNECTOR))
        await copied.wait()
        (incoming,) = [path for path in files(data) if "/" in path.removeprefix("records/")]
        engine = await server.engines.of(owner.id)
        (place,) = [each for each in await engine.stats("chat") if each.stream == "documents"]
        await engine.erase(Target("chat", place.instance), "2026-11-23T10:00:00Z", 1000, "e1")
        assert incoming not in files(data)
        erased.set()
        assert await task == sorted(CONNECTORS)
        assert await engine.erased("e1") == {place: 18}
        assert (await engine.stats())[place].records == 0


async def test_an_erasure_takes_what_has_left(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(data, Topology.SINGLE) as server, opened(data, Topology.SINGLE) as mover:
        with monkeypatch.context() as dying:
            dying.setattr(moves, "throw_away", None)
            with pytest.raises(TypeError):
                await move(mover, Topology.PER_CONNECTOR)
        engine = await server.engines.of((await owner_of(server)).id)
        (place,) = [each for each in await engine.stats("chat") if each.stream == "documents"]
        await engine.erase(Target("chat", place.instance), "2026-11-23T10:00:00Z", 1000, "e1")
        main = await SqliteEngine.open(data / files(data)[0])
        assert "chat" not in await main.connectors()
        await main.close()


async def test_what_had_not_all_gone_when_the_mover_died_comes_back_whole(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "DISCARDED", 5)
    async with opened(data, Topology.SINGLE) as store:
        before = await everything(store)
        with monkeypatch.context() as dying:
            dying.setattr(copying, "GAP", "dies")
            with pytest.raises(TypeError):
                await move(store, Topology.PER_CONNECTOR)
        await move(store, Topology.SINGLE)
        assert await everything(store) == before


async def test_an_erasure_does_not_leave_a_copy_to_a_mover_that_is_about_to_discard_it(data: Path) -> None:
    main = await SqliteEngine.open(data / files(data)[0])
    await main.mark(Mark("chat", Stage.LEFT, "elsewhere"))
    assert not await main.discard("chat", 7, 5)
    assert await main.condemn("chat", 7)
    await copying.throw_away(main, "chat", 7)
    assert not await main.condemn("chat", 7)
    await main.close()


async def test_a_move_back_does_not_write_anew_all_that_has_come(data: Path) -> None:
    main = data / files(data)[0]
    async with opened(data, Topology.SINGLE) as store:
        await move(store, Topology.PER_CONNECTOR)
        with sqlite3.connect(main) as db:
            assert db.execute("UPDATE slack SET stale = 1 WHERE NOT stale").rowcount == 1
        await move(store, Topology.SINGLE)
    with sqlite3.connect(main) as db:
        assert db.execute("SELECT stale FROM slack").fetchone() == (1,)


async def test_who_writes_gets_in_between_what_is_thrown_away(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "DISCARDED", 5)
    path = data / files(data)[0]
    times: list[float] = []
    async with opened(data, Topology.SINGLE) as store:
        main = await SqliteEngine.open(path)
        discard = main.discard

        async def timed(*arguments: Any) -> bool:
            times.append(time.monotonic())
            done = await discard(*arguments)
            times.append(time.monotonic())
            return done

        monkeypatch.setattr(main, "discard", timed)
        await main.mark(Mark("chat", Stage.LEFT, "elsewhere"))
        await copying.throw_away(main, "chat")
        await main.close()
        assert await read(store, await owner_of(store), "mail", "3") == "changed"
    gaps = [after - before for before, after in zip(times[1:-1:2], times[2::2], strict=True)]
    assert len(gaps) > 2
    assert min(gaps) >= copying.GAP


async def test_a_mark_whose_mover_died_is_taken_back(data: Path) -> None:
    async with opened(data, Topology.SINGLE) as server, opened(data, Topology.SINGLE) as mover:
        owner = await owner_of(server)
        engine = await mover.moves._engines.divided(owner.id)  # type: ignore[union-attr]
        await engine.main.leave("mail", "nowhere", {}, lambda state, items: None)
        with moving(engine.moving_lock):
            waiting = asyncio.create_task(ingest(server, owner, "100", [], connector="mail", text="late"))
            assert await read(server, owner, "mail", "3") == "changed"
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await waiting
        assert await read(mover, owner, "mail", "100") == "late"
