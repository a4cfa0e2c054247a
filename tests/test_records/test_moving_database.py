"""An owner's records from files into a database and back, under a store that is open."""

import shutil
from pathlib import Path

import pytest

from records.engines.postgres import PostgresEngines
from records.layout import Topology
from records.moving.centre import move_centre, remove_old_centre
from records.moving.database import DatabaseMoves
from records.moving.either import EitherEngines
from records.store import RecordStore
from tests.fakes.centre_mover import configure
from tests.fakes.data_directory import Stored, ingest, make, upload


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return make(tmp_path_factory.mktemp("template") / "data")


@pytest.fixture
def data(template: Stored, tmp_path: Path) -> Path:
    shutil.copytree(template.data, tmp_path / "data")
    return tmp_path / "data"


async def bag(store: RecordStore, subject: str) -> bytes:
    """All that an export has of an owner."""
    owner = await store.access.owner(subject)
    async with store.exports.open(owner) as export:
        return await export.read(0, export.size)


async def move(data: Path, url: str, to: Topology) -> list[str]:
    """As the command does: which connectors came, by owner."""
    store = await RecordStore.open(
        data, database_url=url, topology=Topology.SINGLE if not to.is_files else Topology.POSTGRES
    )
    assert isinstance(store.engines, EitherEngines)
    from blobstore.postgres import Database

    database = await Database.open(url)
    plain = await PostgresEngines.open(database)
    store_id, host = await store.blobs.catalogue.store_id(), store.blobs.staging.host
    moves = DatabaseMoves(store.central, store.engines, plain, store_id, host)
    came = []
    for owner in await store.central.owners():
        moving = moves.out(owner, lambda *_: None) if to.is_files else moves.into(owner, lambda *_: None)
        came += [f"{owner.subject}/{each.connector}" async for each in moving]
    await plain.close()
    await database.close()
    await store.let_go()
    await move_centre(data, to, url, url)
    configure(data, to, url)
    await remove_old_centre(data, to, url)
    return came


async def test_a_store_that_is_open_follows_there_and_back(data: Path, database_url: str) -> None:
    store = await RecordStore.open(data, database_url=database_url)
    ann = await store.access.owner("ann")
    before = await bag(store, "ann")
    for number, to in enumerate((Topology.POSTGRES, Topology.SINGLE) * 2):
        assert await move(data, database_url, to) == ["ann/files", "bob/files"]
        assert await bag(store, "ann") == before
        blob = await upload(store, ann, b"%d" % number, f"new {number}")
        await ingest(store, ann, f"new {number}", [blob])
        await store.collect(0.0)
        before = await bag(store, "ann")
    await store.close()
    store = await RecordStore.open(data)
    assert await bag(store, "ann") == before
    await store.close()
