"""Two machines on one store: each has a directory of its own, the database and the stored bytes are shared."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from blobstore.errors import LeaseLost, StorageUnavailable, WrongStore
from blobstore.leases import LEASE_SECONDS
from blobstore.postgres import Database
from blobstore.store import Upload
from records.bag import watch
from records.central import ErasureJob, Owner
from records.consent.scope import Selector
from records.erasure.erasures import new_id
from records.erasure.report import Report
from records.errors import Conflict
from records.layout import Topology
from records.locking.postgres import PostgresRows
from records.locking.rows import Row
from records.locks import COPY, ERASURE, HOST, taken
from records.machines import alone
from records.moving import elsewhere
from records.moving.database import database_moves
from records.shards import MAIN
from records.store import RecordStore
from records.transfer import NEW, Mark, Stage
from records.upkeep import Schedule, Upkeep
from records.writing.attachments import Target
from tests.fakes.data_directory import CONNECTOR, LETTER, MANIFEST, PHOTO, delete, digest_of, ingest, upload

LONG = 3600.0
EVERYTHING = Selector(CONNECTOR)


@pytest.fixture
async def here(tmp_path: Path, database_url: str) -> AsyncIterator[RecordStore]:
    store = await RecordStore.open(tmp_path / "here", topology=Topology.POSTGRES, database_url=database_url)
    yield store
    await store.close()


@pytest.fixture
async def there(here: RecordStore, tmp_path: Path, database_url: str) -> AsyncIterator[RecordStore]:
    """On another machine, which has the secret and reaches the same bytes."""
    directory = tmp_path / "there"
    directory.mkdir()
    for name in ("secret", "store-id"):
        shutil.copy(here.directory / name, directory)
    (directory / "blobs").symlink_to(here.directory / "blobs")
    store = await RecordStore.open(directory, topology=Topology.POSTGRES, database_url=database_url)
    yield store
    await store.close()


@pytest.fixture
async def ann(here: RecordStore) -> Owner:
    owner = await here.access.owner("ann")
    await here.registry.register(owner, msgspec.json.encode(MANIFEST))
    return owner


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[PostgresRows]:
    """What a third machine, of which nothing else is known, has in the database."""
    database = await Database.open(database_url)
    yield PostgresRows(database, database)
    await database.close()


async def until(state: str, store: RecordStore, owner: Owner, erasure: str) -> None:
    async with asyncio.timeout(60):
        while (await store.erasures.find(owner, erasure)).report.state != state:
            await store.erasures.resume()


async def begun(store: RecordStore, owner: Owner, key: str) -> str:
    """An erasure that was written down and not carried out, by a machine that is gone."""
    covered = await store.erasures.coverage.of_records(owner, EVERYTHING, "documents", key)
    report = Report(new_id(), covered, "2026-11-29T10:00:00Z")
    job = ErasureJob(report.id, owner.id, msgspec.json.encode(report), "running", report.requested_at, None, None)
    await store.central.begin_erasure(job, b'{"kind":"erasure.begin"}')
    return report.id


# -- erasures and copies -----------------------------------------------------------------------------------------------


async def test_an_erasure_waits_for_an_export_on_another_machine_which_lets_go(
    here: RecordStore, there: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(here, ann, "1", [await upload(here, ann, LETTER, "1")])
    covered = await here.erasures.coverage.of_connector(ann, CONNECTOR)
    monkeypatch.setattr(watch, "SECONDS", LONG)
    async with there.exports.open(ann, CONNECTOR) as export:
        assert (await here.erasures.erase(ann, covered, wait=0)).report.state == "running"
        monkeypatch.setattr(watch, "SECONDS", 0.0)
        with pytest.raises(StorageUnavailable, match="erased"):
            await export.read(0, 1)
        await export.close()
        assert await here.erasures.resume() == 0


async def test_an_export_that_lost_its_lock_is_not_read_on_and_lets_go(
    there: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.01)
    async with there.exports.open(ann, CONNECTOR) as export:
        assert await export.read(0, 1)
        export._held.lose()
        with pytest.raises(StorageUnavailable, match="did not answer for too long"):
            await export.read(0, 1)
        async with asyncio.timeout(20):
            while any(path.name != "lock" for path in there.directory.glob(f"staging/{there.blobs.staging.process}/*")):
                await asyncio.sleep(0.01)


async def test_a_copy_of_a_machine_that_is_gone_holds_nothing_back_when_its_lock_has_expired(
    here: RecordStore, ann: Owner, rows: PostgresRows
) -> None:
    await ingest(here, ann, "1", [])
    copy = Row(f"{COPY}{ann.id}_1", "gone", "x", b"")
    await rows.take(copy, LONG)
    covered = await here.erasures.coverage.of_connector(ann, CONNECTOR)
    erasure = await here.erasures.erase(ann, covered, wait=0)
    assert erasure.report.state == "running"
    await rows.take(copy, 0)
    assert await here.erasures.resume() == 0


async def test_an_erasure_is_one_machines_until_that_is_gone(
    here: RecordStore, there: RecordStore, ann: Owner, rows: PostgresRows
) -> None:
    await ingest(here, ann, "1", [], text="one")
    erasure = await begun(here, ann, "1")
    await rows.take(Row(erasure, "gone", "x", b""), LONG)
    assert [await each.erasures.resume() for each in (here, there)] == [1, 1]
    await rows.take(Row(erasure, "gone", "x", b""), 0)
    await until("done", there, ann, erasure)
    assert (await there.erasures.find(ann, erasure)).report.resumed == 1
    assert await here.locks.held(ERASURE) == {}


async def test_both_take_an_erasure_up_at_once_and_it_is_done_once(
    here: RecordStore, there: RecordStore, ann: Owner
) -> None:
    await ingest(here, ann, "1", [await upload(here, ann, LETTER, "1")])
    erasure = await begun(here, ann, "1")
    await asyncio.gather(here.erasures.resume(), there.erasures.resume())
    await until("done", here, ann, erasure)
    found = await here.erasures.find(ann, erasure)
    assert (found.report.records, found.report.blobs, found.report.resumed) == (1, 1, 1)


# -- writes ------------------------------------------------------------------------------------------------------------


async def test_a_connector_that_one_machine_pauses_takes_no_writes_on_another(
    here: RecordStore, there: RecordStore, ann: Owner
) -> None:
    await ingest(there, ann, "1", [])  # an answer that there is no pause is remembered for a moment
    async with here.pauses.pausing(ann, CONNECTOR):
        with pytest.raises(StorageUnavailable, match="detached"):
            await there.ingests.begin(ann, "documents", EVERYTHING)
        with pytest.raises(StorageUnavailable, match="detached"):
            await upload(there, ann, LETTER, "1")
        with pytest.raises(StorageUnavailable, match="detached"):
            await there.states.merge(ann, EVERYTHING, {"documents": b"1"})
    async with asyncio.timeout(20):
        while True:
            try:
                await ingest(there, ann, "2", [])
                break
            except StorageUnavailable:
                await asyncio.sleep(0.05)


# -- uploads -----------------------------------------------------------------------------------------------------------


async def receiving(store: RecordStore, owner: Owner, key: str) -> Upload:
    return await store.attachments.receive(owner, Target(EVERYTHING, "documents", key, "text/plain"))


async def test_a_collection_takes_nobody_of_another_machine_for_dead(
    here: RecordStore, there: RecordStore, ann: Owner
) -> None:
    async with await receiving(there, ann, "1") as incoming:
        await incoming.write(LETTER)
        await here.collect(0)
        await here.collector.tidy()
        assert (await incoming.finish()).name.digest == digest_of(LETTER)


async def test_what_is_erased_while_another_machine_receives_it_is_not_stored_and_leaves_no_file(
    here: RecordStore, there: RecordStore, ann: Owner
) -> None:
    async with await receiving(there, ann, "1") as incoming:
        await incoming.write(LETTER)
        covered = await here.erasures.coverage.of_connector(ann, CONNECTOR)
        assert (await here.erasures.erase(ann, covered, wait=10)).report.state == "done"
        assert len(list(there.blobs.staging.files())) == 1
        assert await there.collector.tidy() == 1
        with pytest.raises(LeaseLost):
            await incoming.finish()
    assert list(here.blobs.backend.list()) == []


async def test_uploads_of_a_machine_whose_directory_was_lost_end_when_their_leases_expire(
    here: RecordStore, there: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await receiving(there, ann, "1") as incoming:
        await incoming.write(PHOTO)
        shutil.rmtree(there.directory / "staging")
        assert (await here.collect(0)).expired == 0
        (lease,) = await here.blobs.catalogue.leases()
        monkeypatch.setattr("time.time", lambda: lease.expires_at + 1)
        assert lease.expires_at > LEASE_SECONDS
        assert (await here.collect(0)).expired == 1
        assert await here.blobs.catalogue.leases() == []
        with pytest.raises((LeaseLost, StorageUnavailable)):
            await incoming.finish()
    assert list(here.blobs.backend.list()) == []
    (there.directory / "staging").mkdir()


# -- background work ---------------------------------------------------------------------------------------------------


async def test_collections_on_two_machines_at_once_count_each_blob_once(
    here: RecordStore, there: RecordStore, ann: Owner
) -> None:
    for number in range(4):
        key = str(number)
        await ingest(here, ann, key, [await upload(here, ann, b"litter %d" % number, key)])
        await delete(here, ann, key)
    found = await asyncio.gather(here.collect(0), there.collect(0))
    assert sum(each.blobs for each in found) == 4


async def test_one_machine_does_each_kind_of_work_and_each_tells_that_it_serves(
    here: RecordStore, there: RecordStore
) -> None:
    schedule = Schedule(look=0.01)
    both = [Upkeep(here, schedule), Upkeep(there, schedule)]
    for upkeep in both:
        upkeep.start()
    kinds = {"lead_collect", "lead_scrub", "lead_forget", "lead_checkpoint"}
    hosts = {f"host_{each.blobs.staging.host}" for each in (here, there)}
    async with asyncio.timeout(60):
        while set(await here.locks.held("lead_", "host_")) != kinds | hosts:
            await asyncio.sleep(0.01)
        files = [{path.name for path in each.directory.glob("locks/lead_*")} for each in (here, there)]
        leads = [each for each in files if each]
        await both[0].stop()
        while {path.name for path in there.directory.glob("locks/lead_*")} != kinds:
            await asyncio.sleep(0.01)
        await both[1].stop()
    assert set().union(*leads) >= kinds
    assert await here.locks.held("lead_", "host_") == {}


async def test_who_wants_to_be_alone_is_refused_while_another_machine_serves(
    here: RecordStore, there: RecordStore
) -> None:
    mine, theirs = here.blobs.staging.host, there.blobs.staging.host
    async with alone(here.locks, mine), taken(here.locks, f"{HOST}{mine}") as served:
        assert served is None
        with pytest.raises(Conflict, match=mine):
            async with alone(there.locks, theirs):
                pass
    async with taken(there.locks, f"{HOST}{theirs}"):
        with pytest.raises(Conflict, match="other machines serve this store"):
            async with alone(here.locks, mine):
                pass
    async with alone(there.locks, theirs):
        pass


# -- an owner whose records are in files of one of them ----------------------------------------------------------------


async def test_a_machine_that_is_open_answers_nothing_of_an_owner_in_files_of_another_and_disturbs_no_move(
    here: RecordStore, there: RecordStore, ann: Owner, database_url: str
) -> None:
    await ingest(here, ann, "1", [])
    known = await there.engines.of(ann.id)
    assert len(await known.stats()) == 1
    async with database_moves(here, database_url) as moves:
        await elsewhere.say_here(here.central, ann.id, here.directory, here.blobs.staging.host)
        plain = await moves._database.of(ann.id)
        await plain.mark(Mark(NEW, Stage.LEFT, MAIN))
        with pytest.raises(WrongStore, match="in files of another directory"):
            await known.stats()  # a server that nobody saw; the mover is at work
        assert [mark.connector for mark in await plain.marks()] == [NEW]
        await plain.unmark(NEW)
        assert [each.connector async for each in moves.out(ann, lambda *_: None)] == [CONNECTOR]
    with pytest.raises(WrongStore, match="migrate --owner ann --to postgres` there"):
        await known.stats()
    with pytest.raises(WrongStore, match="in files of another directory"):
        await ingest(there, ann, "2", [])
    there.engines._engines.clear()  # type: ignore[attr-defined]  # as in a server that never met this owner
    with pytest.raises(WrongStore, match="in files of another directory"):
        await there.engines.of(ann.id)
    assert len(await (await here.engines.of(ann.id)).stats()) == 1
