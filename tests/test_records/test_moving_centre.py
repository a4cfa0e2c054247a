"""Central store and catalogue from one database into another, while others write to them."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from blobstore.catalogues.postgres.moving import catalogue_side as catalogue_schema
from blobstore.catalogues.sections import SECTIONS as CATALOGUE
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.catalogues.sqlite.moving import catalogue_side
from blobstore.errors import Moved, MovedAway, WrongStore
from blobstore.moving import move as moving
from blobstore.moving.move import Differs, move
from blobstore.moving.section import Row, Section
from blobstore.postgres import Database
from blobstore.postgres.side import PostgresSide
from blobstore.sqlite.side import SqliteSide
from records.central import About, ErasureJob
from records.centrals.postgres.moving import central_side as central_schema
from records.centrals.sections import SECTIONS as CENTRAL
from records.centrals.sqlite import SqliteCentral
from records.centrals.sqlite.moving import central_side
from records.layout import Topology
from records.moving.centre import move_centre, remove_old_centre
from records.store import RecordStore
from tests.fakes.data_directory import Stored, make, upload
from tests.fakes.descriptors import open_under

NOW = "2026-11-23T10:00:00.000000Z"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return make(tmp_path_factory.mktemp("template") / "data")


@pytest.fixture
def data(template: Stored, tmp_path: Path) -> Path:
    shutil.copytree(template.data, tmp_path / "data")
    return tmp_path / "data"


Side = SqliteSide | PostgresSide


class Ends:
    """Both ends of a move of one kind of store: a file, and another file or a database."""

    def __init__(self, kind: str, data: Path, database: Database | None = None) -> None:
        side: Callable[[Path], SqliteSide] = central_side if kind == "central" else catalogue_side
        self.sections = CENTRAL if kind == "central" else CATALOGUE
        self.source: Side = side(data / f"{kind}.db")
        self.target: Side = side(data.parent / "there" / f"{kind}.db")
        if database is not None:
            self.target = (central_schema if kind == "central" else catalogue_schema)(database)
        self.files = [data / f"{kind}.db", data.parent / "there" / f"{kind}.db"]

    async def all(self, side: Side) -> dict[str, list[Row]]:
        return {each.name: await side.all(each) for each in self.sections}

    async def close(self) -> None:
        await self.source.close()
        await self.target.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture(params=["central", "catalogue"])
async def ends(request: pytest.FixtureRequest, data: Path) -> AsyncIterator[Ends]:
    """Between two files."""
    ends = Ends(request.param, data)
    yield ends
    await ends.close()


@pytest.fixture(params=["files", "database"])
def there(request: pytest.FixtureRequest) -> Database | None:
    """Where a store goes to."""
    found: Database | None = request.getfixturevalue("database") if request.param == "database" else None
    return found


@pytest.fixture(params=["central", "catalogue"])
async def between(request: pytest.FixtureRequest, data: Path, there: Database | None) -> AsyncIterator[Ends]:
    """Between a file and a file, or a database."""
    ends = Ends(request.param, data, there)
    yield ends
    await ends.close()


async def test_all_rows_arrive_and_the_source_says_that_they_have(between: Ends) -> None:
    ends = between
    before = await ends.all(ends.source)
    told = await move(ends.source, ends.target, ends.sections, "there")
    assert await ends.all(ends.target) == before
    assert {each.section: each.rows for each in told} == {name: len(rows) for name, rows in before.items()}
    assert await ends.source.moved() == "there"
    assert await ends.target.moved() is None


async def test_there_and_back_is_as_it_was(between: Ends) -> None:
    ends = between
    before = await ends.all(ends.source)
    await move(ends.source, ends.target, ends.sections, "there")
    await move(ends.target, ends.source, ends.sections, "here")
    assert await ends.all(ends.source) == before
    assert await ends.target.moved() == "here"
    await ends.target.remove()
    assert await ends.target.moved() is not None
    await move(ends.source, ends.target, ends.sections, "there")
    await ends.source.remove()
    assert not ends.files[0].exists()
    assert await ends.all(ends.target) == before


async def test_to_move_what_has_moved_does_nothing(between: Ends) -> None:
    ends = between
    await move(ends.source, ends.target, ends.sections, "there")
    before = await ends.all(ends.target)
    assert await move(ends.source, ends.target, ends.sections, "there") == []
    assert await ends.all(ends.target) == before


async def test_what_is_in_use_is_not_moved_over_and_what_is_here_is_not_removed(ends: Ends, template: Stored) -> None:
    ends.files[1].parent.mkdir()
    shutil.copy(template.data / ends.files[1].name, ends.files[1])
    before = ends.files[1].read_bytes()
    with pytest.raises(WrongStore):
        await move(ends.source, ends.target, ends.sections, "there")
    with pytest.raises(WrongStore):
        await ends.source.remove()
    assert ends.files[1].read_bytes() == before
    assert await ends.source.moved() is None


@pytest.mark.parametrize("call", ["prepare", "watch", "page", "take", "one_moment", "faults", "leave"])
async def test_a_mover_that_dies_anywhere_leaves_nothing_but_what_the_next_one_throws_away(
    between: Ends, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = between
    before = await ends.all(ends.source)
    died = ends.target if call in ("prepare", "take", "faults") else ends.source

    async def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(died, call, dies)
        patch.setattr(ends.source, "unwatch", dies)
        with pytest.raises(KeyboardInterrupt):
            await move(ends.source, ends.target, ends.sections, "there")
    assert await ends.source.moved() is None
    await move(ends.source, ends.target, ends.sections, "there")
    assert await ends.all(ends.target) == before


async def test_a_copy_that_differs_is_not_switched_to(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(ends.target, SqliteSide)
    insert = ends.target._insert

    def loses(db: Any, section: Section, rows: list[Row]) -> None:
        insert(db, section, rows[:-1] if section.ahead else rows)

    monkeypatch.setattr(ends.target, "_insert", loses)
    with pytest.raises(Differs):
        await move(ends.source, ends.target, ends.sections, "there")
    assert await ends.source.moved() is None


# -- while others use it -----------------------------------------------------------------------------------------------


async def test_what_others_write_meanwhile_arrives_and_is_refused_afterwards(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PAGE", 200)
    monkeypatch.setattr(moving, "FEW", 100)
    central = await SqliteCentral.open(data / "central.db")
    owner = (await central.owners())[0]
    for _ in range(100):
        await central.note(owner.id, b"{}", NOW, About("g"))
    noted = await central.chained(owner.id)
    over = asyncio.Event()

    async def write() -> int:
        count = 0
        while True:
            try:
                await central.note(owner.id, json.dumps(count).encode(), NOW, About("g"))
                await central.register(owner.id, f"c{count}", b"{}", NOW, b"{}")
            except (Moved, MovedAway):
                over.set()
                return count
            count += 1

    writing = asyncio.create_task(write())
    ends = Ends("central", data)
    await asyncio.wait_for(move(ends.source, ends.target, ends.sections, "there"), 20)
    count = await asyncio.wait_for(writing, 20)
    assert count > 0
    there = await SqliteCentral.open(ends.files[1])
    assert noted + 2 * count <= await there.chained(owner.id) <= noted + 2 * count + 1
    assert len(await there.connectors(owner.id)) == 1 + count
    assert (await there.spine(owner.id, 0, 10**9))[-1] == await there.spine_head(owner.id)
    for reading in (central.owners(), central.token(b"")):
        with pytest.raises((Moved, MovedAway)):
            await reading
    await there.close()
    await central.close()
    await ends.close()
    with pytest.raises((Moved, MovedAway)):
        await SqliteCentral.open(data / "central.db")


async def test_an_outbox_gives_no_number_twice_where_it_has_moved(data: Path) -> None:
    catalogue = await SqliteCatalogue.open(data / "catalogue.db")
    before = await catalogue.numbering()
    await catalogue.close()
    ends = Ends("catalogue", data)
    await move(ends.source, ends.target, ends.sections, "there")
    there = await SqliteCatalogue.open(ends.files[1])
    assert await there.numbering() == before
    await there.close()
    await ends.close()


async def test_the_store_leaves_only_when_it_may(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "PAUSE", 0.01)
    ends, asked = Ends("central", data), [False, False, True]

    async def ready(_: Any) -> bool:
        return asked.pop(0)

    await move(ends.source, ends.target, ends.sections, "there", ready)
    assert asked == []
    assert await ends.source.moved() == "there"
    await ends.close()


# -- whoever has it open follows ---------------------------------------------------------------------------------------


def configure(data: Path, topology: Topology, url: str | None = None) -> None:
    database = [] if url is None else [f"database_url = {json.dumps(url)}"]
    (data / "blobstore.toml").write_text("\n".join([f'topology = "{topology}"', 'blobs = "file"', *database]) + "\n")


async def everything(store: RecordStore) -> list[object]:
    """What whoever uses the store can see of both."""
    owners = await store.central.owners()
    found: list[object] = [owners, await store.central.tokens(), await store.blobs.catalogue.walk(None, 100)]
    for owner in owners:
        found.append(await store.central.spine(owner.id, 0, 1000))
        found.append(await store.blobs.catalogue.claims_by(owner.id, "files", 100))
        found.append(await store.blobs.catalogue.volume(owner.id))
        await store.checkpoints.verify(owner)
    return found


async def test_a_store_that_is_open_follows_there_and_back(data: Path, database_url: str) -> None:
    store = await RecordStore.open(data)
    owner = await store.access.owner("ann")
    before = await everything(store)
    for number, to in enumerate((Topology.POSTGRES, Topology.SINGLE, Topology.POSTGRES, Topology.SINGLE)):
        await move_centre(data, to, database_url, database_url)
        assert await everything(store) == before
        await upload(store, owner, b"%d" % number, f"new {number}")
        configure(data, to, database_url if to is Topology.POSTGRES else None)
        await remove_old_centre(data, to, database_url)
        await upload(store, owner, b"more %d" % number, f"more {number}")
        assert (data / "central.db").exists() == (data / "catalogue.db").exists() == to.is_files
        await store.audit.drain_all()
        before = await everything(store)
        assert await store.collect(0.0)
    await store.close()
    store = await RecordStore.open(data)  # which holds the parts against each other
    assert len(await everything(store)) == len(before)
    await store.close()


async def test_a_mover_that_dies_between_the_two_is_gone_on_with(
    data: Path, database_url: str, database: Database
) -> None:
    ends = Ends("catalogue", data, database)
    await move(ends.source, ends.target, ends.sections, database_url)
    await ends.close()
    store = await RecordStore.open(data, database_url=database_url)
    await upload(store, await store.access.owner("ann"), b"between", "between")
    before = await everything(store)
    await move_centre(data, Topology.POSTGRES, database_url, database_url)
    assert await everything(store) == before
    await store.close()


async def test_a_closed_store_leaves_no_file_open_that_was_removed(data: Path, database_url: str) -> None:
    store = await RecordStore.open(data)
    await everything(store)
    await move_centre(data, Topology.POSTGRES, database_url, database_url)
    configure(data, Topology.POSTGRES, database_url)
    await remove_old_centre(data, Topology.POSTGRES, database_url)
    await everything(store)
    await asyncio.sleep(0.2)
    assert [each for each in open_under(data) if "deleted" in each] == []
    await store.close()


async def test_an_erasure_under_way_is_waited_for(
    data: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PAUSE", 0.01)
    central = await SqliteCentral.open(data / "central.db")
    owner = (await central.owners())[0]
    await central.begin_erasure(ErasureJob("era_1", owner.id, b"{}", "running", NOW, None, None), b"{}")
    moved = asyncio.create_task(move_centre(data, Topology.POSTGRES, database_url, database_url))
    await asyncio.sleep(0.5)
    assert not moved.done()
    await central.finish_erasure("era_1", b"{}", b"{}", NOW, b"{}")
    await asyncio.wait_for(moved, 20)
    with pytest.raises((Moved, MovedAway)):
        await central.owners()
    await central.close()
