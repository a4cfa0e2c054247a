"""A part of a data directory that is missing, empty, fresh, another store's or older than the rest.

Nothing is deleted by it, nothing is served by it, and `doctor` names it.
"""

import asyncio
import shutil
from pathlib import Path

import pytest

from blobstore.errors import BlobError, WrongStore
from records.layout import Topology
from records.store import RecordStore
from tests.fakes.data_directory import Stored, delete, in_store, ingest, make, upload
from tests.fakes.topologies import Storage

PARTS = ["central.db", "catalogue.db", "records", "store-id", "secret", "blobs", "erasures.ledger"]
HARMS = ["missing", "empty", "fresh", "foreign", "older"]


async def go_on(store: RecordStore) -> None:
    """Everything moves: an upload, a record, a deletion, a blob that is collected."""
    owner = await store.access.owner("ann")
    await ingest(store, owner, "5", [await upload(store, owner, b"newer", "5")])
    await delete(store, owner, "1")
    await delete(store, owner, "2", "photos")
    await store.collect(0)
    await store.audit.drain_all()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stored]:
    """By what they are: a store, the same some time ago, another one, and one that was just made."""
    folder = tmp_path_factory.mktemp("stores")
    older = make(folder / "older")
    shutil.copytree(older.data, folder / "newer")
    newer = Stored(folder / "newer", older.ann)
    in_store(newer.data, go_on)
    foreign = make(folder / "foreign")
    fresh = Stored(folder / "fresh", "nobody")

    async def nothing(_: RecordStore) -> None:
        pass

    in_store(fresh.data, nothing)
    return {"older": older, "newer": newer, "foreign": foreign, "fresh": fresh}


def path_of(stored: Stored, part: str) -> Path:
    return stored.data / ("records" if part == "records" else part) / (f"{stored.ann}.db" if part == "records" else "")


def harm(stored: Stored, part: str, how: str, stores: dict[str, Stored]) -> None:
    path = path_of(stored, part)
    other = None if how in ("missing", "empty") else path_of(stores[how], part)
    if path.is_dir():
        shutil.rmtree(path)
        if how == "empty":
            path.mkdir()
    else:
        path.unlink()
        if how == "empty":
            path.touch(0o600)
    if other is not None and other.is_dir():
        shutil.copytree(other, path)
    elif other is not None and other.exists():
        shutil.copy(other, path)
    elif how == "fresh" and part == "records":
        in_store(stores["foreign"].data.with_name("scratch"), lambda store: store.engines.of(stored.ann))
        shutil.copy(stores["foreign"].data.with_name("scratch") / "records" / f"{stored.ann}.db", path)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copy(stores: dict[str, Stored], to: Path) -> Stored:
    shutil.copytree(stores["newer"].data, to)
    return Stored(to, stores["newer"].ann)


async def look(store: RecordStore) -> None:
    """What a server does first: bring what waits to the spine, which opens everybody's records."""
    await store.audit.drain_all()


HARMLESS = {
    ("erasures.ledger", "missing"),  # made anew: nothing was ever erased here
    ("erasures.ledger", "empty"),
    ("erasures.ledger", "older"),
    ("store-id", "older"),  # it is the same
    ("secret", "older"),
}
UNSEEN = {
    ("blobs", "older"),  # only the files say so: they are looked at one by one
    ("blobs", "foreign"),
}
"""What opening does not see."""


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("part", PARTS)
def test_a_wrong_part_deletes_nothing_is_not_served_and_is_named(
    stores: dict[str, Stored], tmp_path: Path, at_rest: None, part: str, how: str
) -> None:
    stored = copy(stores, tmp_path / "data")
    harm(stored, part, how, stores)
    before = snapshot(stored.data / "blobs")
    collected = stored.run("gc", "--grace", "0")
    assert snapshot(stored.data / "blobs") == before
    if (part, how) in HARMLESS:
        assert collected.exit_code == 0, collected.output
        assert stored.kinds("--deep", exit_code=0) == []
        return
    if (part, how) not in UNSEEN:
        assert collected.exit_code == 1, collected.output
        assert isinstance(collected.exception, SystemExit)
        with pytest.raises(BlobError):
            in_store(stored.data, look)
    assert snapshot(stored.data / "blobs") == before
    found = stored.doctor()
    assert any(part in each["subject"] + each["message"] or each["kind"] == "missing_file" for each in found), found


@pytest.mark.parametrize("storage", [Topology.POSTGRES], indirect=True)
def test_the_database_of_another_directory_is_refused_and_stays(storage: Storage, tmp_path: Path) -> None:
    stored = make(tmp_path / "data", storage)
    for _ in range(2):
        with pytest.raises(WrongStore, match="knows owners"):
            in_store(tmp_path / "new", look, storage=storage)
    assert not (tmp_path / "new" / "store-id").exists()
    assert stored.run("doctor").exit_code == 0


@pytest.mark.parametrize("storage", [Topology.POSTGRES], indirect=True)
async def test_of_two_new_directories_that_start_at_once_one_gets_the_database(
    storage: Storage, tmp_path: Path
) -> None:
    async def start(folder: Path) -> BaseException | None:
        try:
            store = await RecordStore.open(folder, topology=storage.topology, database_url=storage.database_url)
        except WrongStore as error:
            return error
        await store.close()
        return None

    folders = [tmp_path / "one", tmp_path / "other"]
    ended = await asyncio.gather(*(start(folder) for _ in range(3) for folder in folders))
    refused = [ended[0::2], ended[1::2]]
    first = 0 if refused[0] == [None] * 3 else 1
    assert refused[first] == [None] * 3
    assert all("copy the file `secret`" in str(error) for error in refused[1 - first])
    assert not (folders[1 - first] / "store-id").exists()
    shutil.copy(folders[first] / "secret", folders[1 - first] / "secret")
    assert await start(folders[1 - first]) is None
