"""Collections: what they remove and tell, where they stop, and that they go on from wherever one was cut off."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from blobstore.backend import ObjectName
from blobstore.catalogue import Condemned
from blobstore.errors import FuseBlown, StorageUnavailable, WrongStore
from blobstore.fuse import Fuse
from blobstore.gc import Wanted
from records.central import Owner
from records.engine import Engine
from records.store import RecordStore
from records.upkeep import Schedule, Upkeep
from tests.fakes.data_directory import CONNECTOR, LETTER, MANIFEST, PHOTO, delete, digest_of, ingest, upload, vandal

TOUCHY = Fuse(min_blobs=1)


async def keep(store: RecordStore, owner: Owner, data: bytes, key: str) -> None:
    await ingest(store, owner, key, [await upload(store, owner, data, key)])


async def litter(store: RecordStore, owner: Owner, count: int) -> list[bytes]:
    """Blobs whose record went."""
    bodies = [b"litter %d" % number for number in range(count)]
    for number, body in enumerate(bodies):
        await keep(store, owner, body, f"litter{number}")
        await delete(store, owner, f"litter{number}")
    return bodies


async def events(store: RecordStore, owner: Owner, kind: str = "blob.remove") -> list[dict[str, object]]:
    bodies = [msgspec.json.decode(event.body) for event in await store.audit.events(owner, 0, 1000)]
    return [body for body in bodies if body["kind"] == kind]


# -- what is told ------------------------------------------------------------------------------------------------------


async def test_a_collection_has_one_id_in_its_result_on_the_spine_and_in_what_is_remembered(
    store: RecordStore, ann: Owner
) -> None:
    bodies = await litter(store, ann, 3)
    told: list[Condemned] = []
    collected = await store.collections.run(Wanted(0), told.extend)
    size = sum(map(len, bodies))
    assert (collected.blobs, collected.bytes, collected.finished) == (3, size, True)
    assert {each.name.digest for each in told} == set(map(digest_of, bodies))
    expected = {"kind": "blob.remove", "reason": "garbage", "collection": collected.id, "blobs": 3, "bytes": size}
    assert await events(store, ann) == [expected]
    (gone,) = await store.blobs.catalogue.gone(ann.id, digest_of(bodies[0]))
    assert gone.reason == f"garbage {collected.id}"


async def test_removals_of_an_owner_that_the_central_store_has_lost_do_not_keep_others_from_their_spines(
    store: RecordStore, ann: Owner
) -> None:
    await litter(store, ann, 1)
    await store.collector.prepare()
    with vandal(store.directory / "catalogue.db") as db:
        db.execute("UPDATE blobs SET namespace = 'lost'")
    assert (await store.collect(0)).blobs == 1
    await keep(store, ann, LETTER, "1")
    assert len(await events(store, ann, "blob.upload")) == 2


# -- side by side ------------------------------------------------------------------------------------------------------


async def test_while_the_bytes_of_some_go_the_next_are_condemned(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.gc.BATCH", 2)
    await litter(store, ann, 6)
    condemn, remove = store.blobs.catalogue.condemn, store.blobs.backend.remove
    condemned = threading.Semaphore(0)
    seen: list[bool] = []

    async def condemning(*args: Any, **options: Any) -> Any:
        found = await condemn(*args, **options)
        condemned.release()
        return found

    def removing(names: Sequence[ObjectName]) -> None:
        condemned.acquire(timeout=30)  # that of these; where no other came meanwhile, nobody would wait for one
        seen.append(len(seen) == 2 or condemned.acquire(timeout=30))
        condemned.release()
        remove(names)

    monkeypatch.setattr(store.blobs.catalogue, "condemn", condemning)
    monkeypatch.setattr(store.blobs.backend, "remove", removing)
    assert (await store.collections.run(Wanted(0))).blobs == 6
    assert seen == [True, True, True]


async def test_of_what_could_not_be_removed_every_row_stays(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.gc.BATCH", 2)
    await litter(store, ann, 6)
    remove = store.blobs.backend.remove
    calls = 0

    def removing(names: Sequence[ObjectName]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise StorageUnavailable("no answer")
        remove(names)

    monkeypatch.setattr(store.blobs.backend, "remove", removing)
    with pytest.raises(StorageUnavailable):
        await store.collections.run(Wanted(0))
    rows = await store.blobs.catalogue.walk(None, 10)
    there = [await store.blobs.ask(store.blobs.backend.size, row.name) for row in rows]
    assert len(there) == 4
    assert None not in there
    assert (await store.collections.run(Wanted(0))).blobs == 4


# -- the fuse ----------------------------------------------------------------------------------------------------------


async def test_nothing_is_removed_where_more_than_the_share_would_go(store: RecordStore, ann: Owner) -> None:
    await keep(store, ann, LETTER, "1")
    bodies = await litter(store, ann, 3)
    with pytest.raises(FuseBlown, match="more than 50%"):
        await store.collections.run(Wanted(0, fuse=TOUCHY))
    assert [await store.blobs.catalogue.find(ann.id, digest_of(body)) is not None for body in bodies] == [True] * 3
    assert (await store.collections.run(Wanted(0, fuse=Fuse(max_share=1, min_blobs=1)))).blobs == 3


async def test_the_share_is_one_of_bytes(store: RecordStore, ann: Owner) -> None:
    await keep(store, ann, PHOTO, "1")
    await litter(store, ann, 2)
    assert (await store.collections.run(Wanted(0, fuse=TOUCHY))).blobs == 2


async def test_of_a_small_store_everything_may_go(store: RecordStore, ann: Owner) -> None:
    await litter(store, ann, 5)
    assert (await store.collect(0)).blobs == 5


async def test_what_is_spared_by_the_grace_period_does_not_blow_the_fuse(store: RecordStore, ann: Owner) -> None:
    await litter(store, ann, 2)
    assert (await store.collections.run(Wanted(3600, fuse=TOUCHY))).blobs == 0


async def test_an_erasure_has_no_fuse(store: RecordStore, ann: Owner) -> None:
    for number in range(120):
        await keep(store, ann, b"%d" % number, f"{number}")
    covered = await store.erasures.coverage.of_connector(ann, CONNECTOR)
    report = (await store.erasures.erase(ann, covered, wait=10)).report
    assert (report.state, report.blobs) == ("done", 120)


@pytest.mark.parametrize("marker", ["other", None])
async def test_a_directory_that_was_exchanged_under_a_running_server_is_left_alone(
    store: RecordStore, ann: Owner, marker: str | None
) -> None:
    (body,) = await litter(store, ann, 1)
    path = store.directory / "store-id"
    path.unlink() if marker is None else path.write_text(marker)
    with pytest.raises(WrongStore):
        await store.collect(0)
    assert await store.blobs.catalogue.find(ann.id, digest_of(body)) is not None
    assert await (await store.engines.of(ann.id)).unlinked(10) != []


async def test_an_engine_that_does_not_answer_stops_the_collection_of_everybodys_garbage(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await store.access.owner("bob")
    await store.engines.of(bob.id)
    (body,) = await litter(store, ann, 1)
    await store.collector.prepare()
    find = store.engines.find

    async def silent(owner: str) -> Engine | None:
        if owner == bob.id:
            raise StorageUnavailable("no answer")
        return await find(owner)

    monkeypatch.setattr(store.engines, "find", silent)
    with pytest.raises(StorageUnavailable):
        await store.collect(0)
    assert await store.blobs.catalogue.find(ann.id, digest_of(body)) is not None


async def test_a_staging_folder_that_cannot_be_listed_stops_the_collection(store: RecordStore, ann: Owner) -> None:
    (body,) = await litter(store, ann, 1)
    staging, elsewhere = store.directory / "staging", store.directory / "elsewhere"
    staging.rename(elsewhere)
    staging.write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="staging"):
        await store.collect(0)
    staging.unlink()
    elsewhere.rename(staging)
    assert await store.blobs.catalogue.find(ann.id, digest_of(body)) is not None


async def test_an_owners_own_collection_has_a_fuse_of_its_own_and_leaves_others_alone(
    store: RecordStore, ann: Owner
) -> None:
    bob = await store.access.owner("bob")
    await store.registry.register(bob, msgspec.json.encode(MANIFEST))
    await keep(store, bob, PHOTO * 20, "1")
    await litter(store, bob, 1)
    await litter(store, ann, 120)
    assert (await store.collections.foresee(ann, 0)).blobs == 120
    with pytest.raises(FuseBlown):
        await store.collections.of(ann, 0, 0.5)
    assert (await store.collections.of(ann, 0, 1)).blobs == 120
    assert (await store.collections.foresee(bob, 0)).blobs == 1


# -- ticks -------------------------------------------------------------------------------------------------------------


async def test_a_tick_does_about_as_much_as_it_may_and_the_next_one_goes_on(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.gc.BATCH", 2)
    await litter(store, ann, 5)
    ticks = [await store.collections.tick(Wanted(0, blobs=2)) for _ in range(4)]
    assert [(each.blobs, each.finished) for each in ticks] == [(2, False), (2, False), (1, True), (0, True)]
    assert len({each.id for each in ticks}) == 4


async def test_a_tick_without_time_removes_nothing_and_says_that_there_is_more(store: RecordStore, ann: Owner) -> None:
    await litter(store, ann, 1)
    collected = await store.collections.tick(Wanted(0, seconds=0))
    assert (collected.blobs, collected.finished) == (0, False)


async def test_a_backlog_is_worked_off_without_waiting_for_the_next_round(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.gc.BATCH", 2)
    await litter(store, ann, 6)
    upkeep = Upkeep(store, Schedule(collect=3600, grace=0, blobs=2, backlog=0.01))
    upkeep.start()
    async with asyncio.timeout(30):
        while await store.blobs.catalogue.walk(None, 1):
            await asyncio.sleep(0.01)
    await upkeep.stop()


async def test_a_tick_remembers_why_it_was_stopped_until_it_is_not(store: RecordStore, ann: Owner) -> None:
    await litter(store, ann, 2)
    with pytest.raises(FuseBlown):
        await store.collections.tick(Wanted(0, fuse=TOUCHY))
    assert store.collections.stopped is not None
    assert (await store.collections.tick(Wanted(0))).blobs == 2
    assert store.collections.stopped is None


# -- several at once, cut off anywhere ---------------------------------------------------------------------------------


async def test_collections_that_run_at_once_count_each_blob_once(store: RecordStore, ann: Owner) -> None:
    await litter(store, ann, 40)
    others = [await RecordStore.open(store.directory) for _ in range(3)]
    found = await asyncio.gather(*(each.collect(0) for each in (store, *others)))
    assert sum(each.blobs for each in found) == 40
    assert sum(int(str(event["blobs"])) for event in await events(store, ann)) == 40
    for each in others:
        await each.close()


@pytest.mark.parametrize("step", ["condemn", "remove", "buried"])
@pytest.mark.parametrize("done", [True, False])
async def test_a_collection_that_was_cut_off_at_any_step_is_finished_by_the_next(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch, step: str, done: bool
) -> None:
    await keep(store, ann, LETTER, "1")
    await litter(store, ann, 3)
    _break(store, monkeypatch, step, done=done)
    with pytest.raises(StorageUnavailable):
        await store.collect(0)
    monkeypatch.undo()
    await store.collect(0)
    assert [each.name.digest for each in await store.blobs.catalogue.walk(None, 10)] == [digest_of(LETTER)]
    assert len(list(store.blobs.backend.list())) == 1
    assert sum(int(str(event["blobs"])) for event in await events(store, ann)) == 3


def _break(store: RecordStore, monkeypatch: pytest.MonkeyPatch, step: str, *, done: bool) -> None:
    """The process dies right before or right after a step."""
    if step == "remove":
        remove = store.blobs.backend.remove

        def removing(names: Sequence[ObjectName]) -> None:
            if done:
                remove(names)
            raise StorageUnavailable("cut off")

        monkeypatch.setattr(store.blobs.backend, "remove", removing)
        return
    original = getattr(store.blobs.catalogue, step)

    async def cut(*values: object, **named: object) -> None:
        if done:
            await original(*values, **named)
        raise StorageUnavailable("cut off")

    monkeypatch.setattr(store.blobs.catalogue, step, cut)


# -- debris ------------------------------------------------------------------------------------------------------------


async def test_what_a_dead_process_left_in_staging_goes_and_what_is_foreign_stays(store: RecordStore) -> None:
    staging = store.directory / "staging"
    dead, strange = staging / ("0" * 16), staging / ("1" * 16)
    for folder in (dead, strange):
        folder.mkdir()
        (folder / ("a" * 32)).write_bytes(b"half")
    (strange / "notes.txt").write_bytes(b"mine")
    (staging / "README").write_bytes(b"mine too")
    assert (await store.collect(0)).debris == 2
    assert not dead.exists()
    assert [path.name for path in strange.iterdir() if path.name != "lock"] == ["notes.txt"]
    foreign = sorted(store.blobs.staging.foreign())
    assert foreign == [(f"{strange.name}/notes.txt", 4), ("README", 8)]


async def test_folders_that_a_collection_empties_go_with_it(store: RecordStore, ann: Owner) -> None:
    await litter(store, ann, 4)
    assert (await store.collect(0)).blobs == 4
    assert _below(store.directory / "blobs") == []


def _below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))
