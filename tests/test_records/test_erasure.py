"""What an erasure takes along and what it leaves: orphans by who held them once, shared blobs by who holds them now."""

import msgspec
import pytest

from blobstore.digest import Digest
from blobstore.locked import try_file_lock
from records.central import Owner
from records.consent.scope import Selector
from records.erasure.report import Covered, Report
from records.store import RecordStore
from tests.fakes.data_directory import (
    CONNECTOR,
    DRAFT,
    LETTER,
    MANIFEST,
    PHOTO,
    delete,
    digest_of,
    ingest,
    objects,
    upload,
)

OTHER = "other"


@pytest.fixture
async def ann(store: RecordStore) -> Owner:
    """An owner with two connectors."""
    owner = await store.access.owner("ann")
    for name in (CONNECTOR, OTHER):
        await store.registry.register(owner, msgspec.json.encode({**MANIFEST, "connector_id": name}))
    return owner


async def record(store: RecordStore, owner: Owner, key: str, data: bytes, connector: str = CONNECTOR) -> None:
    """A record with one attachment."""
    await ingest(store, owner, key, [await upload(store, owner, data, key, connector=connector)], connector=connector)


async def give_up(store: RecordStore, owner: Owner, key: str, data: bytes, connector: str = CONNECTOR) -> None:
    """A record with an attachment that came and went, so that its bytes wait for a collection."""
    await record(store, owner, key, data, connector)
    await delete(store, owner, key, connector=connector)


async def erase(store: RecordStore, owner: Owner, covered: Covered) -> Report:
    return (await store.erasures.erase(owner, covered, wait=5)).report


async def stored(store: RecordStore, owner: Owner) -> set[Digest]:
    return {each.name.digest for each in await store.blobs.catalogue.walk(None, 100) if each.name.namespace == owner.id}


@pytest.mark.parametrize("released", [True, False])
async def test_erasing_a_connector_takes_along_what_it_gave_up_before_and_nobody_elses_garbage(
    store: RecordStore, ann: Owner, released: bool
) -> None:
    await record(store, ann, "1", LETTER)
    await give_up(store, ann, "2", PHOTO)
    await give_up(store, ann, "2", DRAFT, OTHER)
    if released:
        await store.collector.prepare()

    report = await erase(store, ann, await store.erasures.coverage.of_connector(ann, CONNECTOR))

    assert (report.state, report.blobs, report.bytes) == ("done", 2, len(LETTER) + len(PHOTO))
    assert await stored(store, ann) == {digest_of(DRAFT)}
    assert [name.digest for name, _ in objects(store.blobs.backend)] == [digest_of(DRAFT)]


@pytest.mark.parametrize("key", [None, "1", "never there"])
async def test_erasing_a_record_or_a_stream_takes_along_what_its_connector_gave_up(
    store: RecordStore, ann: Owner, key: str | None
) -> None:
    await give_up(store, ann, "2", PHOTO)
    await give_up(store, ann, "2", DRAFT, OTHER)
    report = await erase(
        store, ann, await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "documents", key)
    )
    assert (report.blobs, report.bytes) == (1, len(PHOTO))
    assert await stored(store, ann) == {digest_of(DRAFT)}


async def test_what_a_connector_gave_up_and_another_holds_stays(store: RecordStore, ann: Owner) -> None:
    await record(store, ann, "1", LETTER, OTHER)
    await give_up(store, ann, "1", LETTER)
    report = await erase(store, ann, await store.erasures.coverage.of_connector(ann, CONNECTOR))
    assert report.blobs == 0
    assert await stored(store, ann) == {digest_of(LETTER)}


async def test_what_two_gave_up_goes_with_the_first_that_is_erased(store: RecordStore, ann: Owner) -> None:
    for connector in (CONNECTOR, OTHER):
        await give_up(store, ann, "1", LETTER, connector)
    await store.collector.prepare()
    assert (await erase(store, ann, await store.erasures.coverage.of_connector(ann, CONNECTOR))).blobs == 1
    assert (await erase(store, ann, await store.erasures.coverage.of_connector(ann, OTHER))).blobs == 0
    assert await stored(store, ann) == set()


async def test_what_was_claimed_and_never_came_goes_with_its_connector(store: RecordStore, ann: Owner) -> None:
    await upload(store, ann, DRAFT, "9")
    await store.blobs.catalogue.expire(2e10, [])
    assert len(await store.blobs.catalogue.orphans(ann.id, 3e10, 10)) == 1
    report = await erase(store, ann, await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "photos"))
    assert (report.blobs, report.bytes) == (1, len(DRAFT))
    assert await stored(store, ann) == set()


async def test_an_erased_connector_is_not_remembered_as_a_holder(store: RecordStore, ann: Owner) -> None:
    await record(store, ann, "1", LETTER, OTHER)
    await give_up(store, ann, "1", LETTER)
    await erase(store, ann, await store.erasures.coverage.of_connector(ann, CONNECTOR))
    await delete(store, ann, "1", connector=OTHER)
    await store.collector.prepare()
    assert await store.blobs.catalogue.former(ann.id, CONNECTOR, None, 10) == []
    assert await store.blobs.catalogue.former(ann.id, OTHER, None, 10) == [digest_of(LETTER)]


async def test_a_claim_that_is_dropped_under_a_hold_that_never_linked_keeps_no_bytes(
    store: RecordStore, ann: Owner
) -> None:
    await upload(store, ann, DRAFT, "9")
    # A writer dies between its hold and its commit.
    assert await store.blobs.catalogue.hold(ann.id, CONNECTOR, [digest_of(DRAFT)], 0.0) == {
        digest_of(DRAFT): len(DRAFT)
    }
    report = await erase(
        store, ann, await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "documents", "9")
    )
    assert report.blobs == 1
    assert await stored(store, ann) == set()


async def test_locks_that_were_left_behind_go_with_the_next_collection(store: RecordStore, ann: Owner) -> None:
    await record(store, ann, "1", LETTER)
    report = await erase(
        store, ann, await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "documents", "1")
    )
    locks = store.directory / "locks"
    (locks / report.id).touch()
    (locks / "somebody's").touch()
    await store.collect(0)
    assert [path.name for path in locks.iterdir()] == ["somebody's"]


async def begin_and_die(store: RecordStore, owner: Owner, covered: Covered, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure that is written down, and whose process ends then."""

    class Killed(Exception): ...

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(store.erasures._runs, "_run", killed)
        with pytest.raises(Killed):
            await store.erasures.erase(owner, covered, wait=5)


@pytest.mark.parametrize("key", ["1", None])
async def test_an_erasure_that_was_cut_off_and_asked_for_again_takes_nothing_that_is_written_after_the_answer(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    await record(store, ann, "1", LETTER)
    covered = await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "documents", key)
    await begin_and_die(store, ann, covered, monkeypatch)

    assert (await erase(store, ann, covered)).state == "done"
    await record(store, ann, "1", PHOTO)
    await store.erasures.resume()

    assert await store.central.unfinished_erasures() == []
    assert await stored(store, ann) == {digest_of(PHOTO)}
    (place,) = await (await store.engines.of(ann.id)).stats(CONNECTOR)
    assert [each.key for each in await (await store.engines.of(ann.id)).get([place], "1")] == ["1"]


async def test_an_erasure_waits_for_an_earlier_one_that_another_process_carries_out(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(store, ann, "1", LETTER)
    covered = await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "documents", "1")
    await begin_and_die(store, ann, covered, monkeypatch)
    (earlier,) = await store.central.unfinished_erasures()

    with try_file_lock(store.directory / "locks" / earlier.id) as locked:
        assert locked
        answer = (await store.erasures.erase(ann, covered, wait=0.1)).report
    assert answer.state == "running"
    assert await store.erasures.resume() == 0
    assert (await store.erasures.find(ann, answer.id)).report.state == "done"
