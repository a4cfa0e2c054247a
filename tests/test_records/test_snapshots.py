"""Snapshots of a store that goes on being written to, and directories made of them."""

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from blobstore.errors import LeaseLost
from records.accounts import accounts
from records.central import Owner
from records.errors import Conflict, Unknown
from records.ledger import NAME
from records.scope import Selector
from records.snapshots.backup import back_up
from records.snapshots.restore import restore
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, delete, digest_of, ingest, upload


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[RecordStore]:
    store = await RecordStore.open(data)
    try:
        yield store
    finally:
        await store.close()


async def owner_of(store: RecordStore, subject: str) -> Owner:
    owner = await store.access.owner(subject)
    await store.registry.register(owner, json.dumps(MANIFEST).encode())
    return owner


async def require_whole(store: RecordStore) -> int:
    """Every link has its holder, and its bytes, which match; how many there are."""
    links = 0
    for owner in await store.central.owners():
        engine = await store.engines.of(owner.id)
        assert await engine.check() == []
        async for account in accounts(owner, engine, store.blobs.catalogue):
            assert account.links.keys() == account.held.keys()
            if account.links:
                links += 1
                async with await store.blobs.open_blob(owner.id, account.digest) as blob:
                    assert digest_of(await blob.read(0, blob.size)) == account.digest
    return links


# -- a busy store ------------------------------------------------------------------------------------------------------


class Busy:
    """Uploads, ingests, deletions, erasures and collections without grace, all the time."""

    def __init__(self, data: Path, rng: random.Random) -> None:
        self._data = data
        self._rng = rng
        self.written = 0
        self.erased = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with opened(self._data) as store, opened(self._data) as other:
            await owner_of(store, "ann")
            tasks = [
                asyncio.create_task(work)
                for work in (
                    *(self._write(each, number) for number, each in enumerate((store, other, store))),
                    self._erase(other),
                    self._collect(store),
                )
            ]
            try:
                yield
            finally:
                for task in tasks:
                    assert not task.done() or task.exception() is None, repr(task.exception())
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, store: RecordStore, number: int) -> None:
        owner, stream = await store.access.owner("ann"), self._rng.choice(["documents", "photos"])
        while True:
            key = f"{number}-{self._rng.randrange(20)}"
            with suppress(Conflict, Unknown, LeaseLost, AssertionError):  # an erasure came in between
                blobs = [await upload(store, owner, self._content(), key, stream) for _ in range(2)]
                await ingest(store, owner, key, blobs, stream)
                self.written += 1
                if self._rng.random() < 0.4:
                    await delete(store, owner, key, stream)

    def _content(self) -> bytes:
        return b"%d" % self._rng.randrange(40) * self._rng.choice([1, 10_000])

    async def _erase(self, store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        while True:
            await asyncio.sleep(self._rng.random() / 10)
            with suppress(Unknown, Conflict):
                if self._rng.random() < 0.5:
                    key = f"{self._rng.randrange(3)}-{self._rng.randrange(20)}"
                    await store.erasures.erase(
                        owner, await store.erasures.of_records(owner, Selector(CONNECTOR), "documents", key), wait=0.1
                    )
                else:
                    await store.erasures.erase(owner, await store.erasures.of_connector(owner, CONNECTOR), wait=0.1)
                self.erased += 1
            await owner_of(store, "ann")

    async def _collect(self, store: RecordStore) -> None:
        while True:
            await store.collect(0.0)
            await asyncio.sleep(0.01)


@pytest.mark.long
async def test_every_snapshot_of_a_busy_store_has_all_bytes_of_its_records(
    tmp_path: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    busy, links = Busy(data, rng), 0
    async with busy.running(), opened(data) as store:
        for number in range(1, sized(6, 200) + 1):
            await asyncio.sleep(rng.random() / 5)
            made = await back_up(store, out, keep=2)
            assert (made.manifest.snapshot, made.manifest.missing) == (number, 0)
            shutil.rmtree(tmp_path / "new", ignore_errors=True)
            restored = await restore(out, tmp_path / "new", ledger=data / NAME)
            assert restored.manifest == made.manifest
            async with opened(tmp_path / "new") as again:
                links += await require_whole(again)
    assert min(links, busy.written, busy.erased) > 0, "nothing happened: the test proved nothing"
    print(f"{busy.written} records written, {busy.erased} erasures, {links} links in snapshots")
