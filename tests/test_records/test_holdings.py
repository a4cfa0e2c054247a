"""Collection asks the record engines: what waits to be released is neither forgotten nor taken for something else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path

import msgspec
import pytest

from blobstore.digest import Digest
from blobstore.gc import Collector
from records.central import Owner
from records.holdings import Holdings
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, LETTER, MANIFEST, delete, digest_of, ingest, upload


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RecordStore]:
    store = await RecordStore.open(tmp_path / "data")
    yield store
    await store.close()


@pytest.fixture
async def ann(store: RecordStore) -> Owner:
    owner = await store.access.owner("ann")
    await store.registry.register(owner, msgspec.json.encode(MANIFEST))
    return owner


class Interrupted(Holdings):
    """Something happens, once, right before or right after the recount."""

    def __init__(self, store: RecordStore, event: Callable[[], Awaitable[None]], *, before: bool) -> None:
        super().__init__(store.central, store.engines)
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
