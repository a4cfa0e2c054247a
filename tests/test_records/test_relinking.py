"""Mending a record's links while a collection is at its blobs, or the record is at its end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence

import pytest

from blobstore.digest import Digest
from records.central import Owner
from records.checks.relinking import Relinking
from records.engines.sqlite import SqliteEngine
from records.model import Link, Partition
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, LETTER, delete, digest_of, ingest, upload

DIGEST = digest_of(LETTER)


class Interrupted(SqliteEngine):
    """Something happens right before the first relink."""

    event: Callable[[], Awaitable[object]] | None = None

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        event, self.event = self.event, None
        if event is not None:
            await event()
        return await super().relink(partition, key, version, links, release_epoch)


@pytest.fixture
async def engine(store: RecordStore, ann: Owner) -> AsyncIterator[Interrupted]:
    """The record that names the blob has lost its link."""
    await ingest(store, ann, "1", [await upload(store, ann, LETTER, "1")])
    engine = await Interrupted.open(store.directory / "records" / f"{ann.id}.db")
    (place,) = await engine.stats()
    assert await engine.relink(place, "1", 1, [], 0)
    yield engine
    assert await engine.check() == []
    await engine.close()


async def mend(store: RecordStore, ann: Owner, engine: Interrupted) -> None:
    (place,) = await engine.stats()
    await Relinking(store.blobs.catalogue, store.collector, ann.id, engine).mend(place, "1")


async def test_p1_a_release_between_hold_and_relink_makes_it_hold_again(
    store: RecordStore, ann: Owner, engine: Interrupted
) -> None:
    engine.event = lambda: store.collector.release(ann.id, CONNECTOR, [DIGEST])
    await mend(store, ann, engine)
    assert await engine.linked(CONNECTOR, None, 10) == [(DIGEST, {"documents": 1})]
    (held,) = await store.blobs.catalogue.holders_of(ann.id, DIGEST)
    assert held.confirmed


async def test_a_record_that_is_deleted_meanwhile_gets_no_link_and_its_blob_no_holder_for_good(
    store: RecordStore, ann: Owner, engine: Interrupted
) -> None:
    engine.event = lambda: delete(store, ann, "1")
    await mend(store, ann, engine)
    assert await engine.linked(CONNECTOR, None, 10) == []
    assert (await store.collect(0)).blobs == 1


async def test_a_blob_that_is_condemned_meanwhile_is_neither_linked_nor_held(
    store: RecordStore, ann: Owner, engine: Interrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = store.blobs.catalogue
    rehold = catalogue.rehold

    async def too_late(namespace: str, holder: str, digests: Collection[Digest]) -> None:
        await store.collector.release(ann.id, CONNECTOR, [DIGEST])
        assert await catalogue.condemn(ann.id, [DIGEST], "garbage")
        await rehold(ann.id, CONNECTOR, [DIGEST])

    monkeypatch.setattr(catalogue, "rehold", too_late)
    await mend(store, ann, engine)
    assert await engine.linked(CONNECTOR, None, 10) == []
    assert await catalogue.holders_of(ann.id, DIGEST) == []


async def test_a_link_that_goes_while_a_collection_holds_it_again_leaves_no_holder(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(store, ann, "1", [await upload(store, ann, LETTER, "1")])
    catalogue = store.blobs.catalogue
    await catalogue.release(ann.id, await catalogue.holders(ann.id, CONNECTOR, [DIGEST]), 0.0)
    rehold = catalogue.rehold

    async def too_late(namespace: str, holder: str, digests: Collection[Digest]) -> None:
        await delete(store, ann, "1")
        await store.collector.release(ann.id, CONNECTOR, [DIGEST])
        await rehold(namespace, holder, digests)

    monkeypatch.setattr(catalogue, "rehold", too_late)
    assert (await store.collect(0)).blobs == 0
    assert (await store.collect(0)).blobs == 1
