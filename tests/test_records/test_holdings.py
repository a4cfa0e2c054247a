"""Collection asks the record engines: what waits to be released is neither forgotten nor taken for something else."""

import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest

from blobstore.catalogue import Lease
from blobstore.digest import Digest
from blobstore.gc import Collector
from blobstore.staging import Staging
from records.central import Owner
from records.holdings import Holdings
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, DRAFT, LETTER, delete, digest_of, ingest, upload, vandal


class Interrupted(Holdings):
    """Something happens, once, right before or right after the recount."""

    def __init__(self, store: RecordStore, event: Callable[[], Awaitable[None]], *, before: bool) -> None:
        super().__init__(store.central, store.engines, store.blobs.catalogue)
        self._event = event
        self._before = before
        self._over = False

    async def recount(self, namespace: str, holder: str, digests: Collection[Digest]) -> set[Digest]:
        if self._before:
            await self._happen()
        unlinked = await super().recount(namespace, holder, digests)
        if not self._before:
            await self._happen()
        return unlinked

    async def _happen(self) -> None:
        if not self._over:
            self._over = True
            await self._event()


@pytest.mark.parametrize("before", [True, False])
async def test_a_last_link_that_is_lost_again_while_its_blob_is_released_leaves_no_holder(
    store: RecordStore, ann: Owner, before: bool
) -> None:
    letter = await upload(store, ann, LETTER, "1")
    await ingest(store, ann, "1", [letter])
    await delete(store, ann, "1")

    async def link_and_unlink() -> None:
        await ingest(store, ann, "2", [letter])
        await delete(store, ann, "2")

    await Collector(store.blobs, Interrupted(store, link_and_unlink, before=before)).prepare()

    assert await store.blobs.catalogue.holders(ann.id, CONNECTOR, [digest_of(LETTER)]) == []
    assert await (await store.engines.of(ann.id)).unlinked(10) == []


async def test_a_lease_of_a_dead_process_whose_folder_somebody_buried_is_collected(
    store: RecordStore, ann: Owner
) -> None:
    catalogue, staging = store.blobs.catalogue, store.blobs.staging
    buried = Staging.open(store.directory / "staging")
    for process in (buried.process, staging.process):
        lease = process * 2  # as long as a lease's id
        await catalogue.lease(Lease(lease, ann.id, CONNECTOR, "default", process, time.time() + 300))
    buried.close()

    await store.collect(0)

    assert [lease.process for lease in await catalogue.leases()] == [staging.process]


async def test_an_upload_whose_record_never_came_is_collected_once_its_claim_has_ended(
    store: RecordStore, ann: Owner
) -> None:
    await ingest(store, ann, "1", [await upload(store, ann, LETTER, "1")])
    await upload(store, ann, DRAFT, "never")
    assert (await store.collect(0)).blobs == 0
    with vandal(store.directory / "catalogue.db") as db:
        db.execute("UPDATE claims SET expires_at = 1")
    assert (await store.collect(0)).blobs == 1
    assert await store.blobs.catalogue.find(ann.id, digest_of(DRAFT)) is None
    assert await store.blobs.catalogue.find(ann.id, digest_of(LETTER)) is not None


# -- namespaces that are no owner's ------------------------------------------------------------------------------------


def give_blobs_to(data: Path, namespace: str) -> None:
    """Behind the store's back: whatever the catalogue knows is another namespace's, held by a writer that died."""
    with vandal(data / "catalogue.db") as db:
        db.execute("UPDATE blobs SET namespace = ?", (namespace,))
        db.execute("UPDATE claims SET namespace = ?, expires_at = 1", (namespace,))
        db.execute("UPDATE holders SET namespace = ?, confirmed = 0", (namespace,))
    (folder,) = (data / "blobs").iterdir()
    folder.rename(data / "blobs" / namespace)


def record_files(data: Path) -> set[str]:
    return {path.stem for path in (data / "records").glob("*.db")}


async def test_what_no_engine_knows_of_is_collected_and_no_engine_is_made(store: RecordStore, ann: Owner) -> None:
    await ingest(store, ann, "1", [await upload(store, ann, LETTER, "1")])
    await upload(store, ann, DRAFT, "2")
    give_blobs_to(store.directory, "nobody")
    before = record_files(store.directory)

    assert (await store.collect(0)).blobs == 2

    assert record_files(store.directory) == before == {ann.id}


async def test_links_of_an_owner_that_the_central_store_has_lost_still_count(store: RecordStore, ann: Owner) -> None:
    await ingest(store, ann, "1", [await upload(store, ann, LETTER, "1")])
    await upload(store, ann, DRAFT, "2")
    give_blobs_to(store.directory, "lost")
    with vandal(store.directory / "catalogue.db") as db:
        db.execute("DELETE FROM holders")
        db.execute("UPDATE blobs SET orphaned_at = 1")
    with vandal(store.directory / "records" / f"{ann.id}.db") as db:
        db.execute("VACUUM INTO ?", (str(store.directory / "records" / "lost.db"),))
    with vandal(store.directory / "records" / "lost.db") as db:
        db.execute("UPDATE bound SET name = replace(name, ?, 'lost')", (ann.id,))

    assert (await store.collect(0)).blobs == 1

    assert await store.blobs.catalogue.find("lost", digest_of(DRAFT)) is None
    assert [each.holder for each in await store.blobs.catalogue.holders_of("lost", digest_of(LETTER))] == [CONNECTOR]


async def test_a_collection_makes_no_file_for_an_owner_without_records(store: RecordStore) -> None:
    await store.access.owner("bob")
    await store.collect(0)
    assert record_files(store.directory) == set()
