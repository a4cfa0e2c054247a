"""An upload to S3 that is on its way when it is erased: nothing is said to be gone that may still come."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from blobstore.backend import LATE_SECONDS
from blobstore.backends.where import Where
from blobstore.errors import LeaseLost, StorageUnavailable
from records.central import Owner
from records.consent.scope import Selector
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, DRAFT, LETTER, delete, digest_of, ingest, upload
from tests.fakes.s3 import S3Server
from tests.fakes.tcp_proxy import Fault, Harm, TcpProxy
from tests.fakes.warm import launch

PUBLISHING = digest_of(DRAFT).hex.encode()
"""What the head of the request names that stores the draft."""


@pytest.fixture
def where(s3: S3Server, proxy: TcpProxy) -> Where:
    return replace(s3.where(), endpoint=proxy.url)


@pytest.fixture
async def store(tmp_path: Path, where: Where) -> AsyncIterator[RecordStore]:
    store = await RecordStore.open(tmp_path / "data", where=where)
    yield store
    await store.close()


async def erase(store: RecordStore, owner: Owner, key: str = "1") -> str:
    """The id of an erasure that waits for nothing."""
    covered = await store.erasures.coverage.of_records(owner, Selector(CONNECTOR), "documents", key)
    return (await store.erasures.erase(owner, covered, wait=0)).report.id


async def state(store: RecordStore, owner: Owner, erasure: str) -> str:
    await store.erasures.resume()
    return (await store.erasures.find(owner, erasure)).report.state


async def done(store: RecordStore, owner: Owner, erasure: str) -> None:
    async with asyncio.timeout(60):
        while await state(store, owner, erasure) != "done":
            await asyncio.sleep(0.02)


async def answering(store: RecordStore) -> None:
    """Nobody asks for a moment a store of S3 that did not answer."""
    async with asyncio.timeout(60):
        while True:
            try:
                await store.blobs.ask(store.blobs.backend.bound)
            except StorageUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def test_an_erasure_waits_for_an_upload_that_is_on_its_way(
    store: RecordStore, ann: Owner, proxy: TcpProxy
) -> None:
    proxy.faults.append(Fault(PUBLISHING, Harm.HELD))
    uploading = asyncio.create_task(upload(store, ann, DRAFT, "1"))
    await asyncio.to_thread(proxy.held.acquire)
    erasure = await erase(store, ann)
    other = await erase(store, ann, "2")  # of the same connection: it cannot tell whose upload it is
    await store.collect(0)
    assert [await state(store, ann, each) for each in (erasure, other)] == ["running", "running"]
    proxy.go.set()
    with pytest.raises(LeaseLost):
        await uploading
    await done(store, ann, erasure)
    await done(store, ann, other)
    assert list(store.blobs.backend.list()) == []
    assert await store.blobs.catalogue.walk(None, 9) == []


async def test_an_erasure_waits_for_bytes_that_were_sent_and_not_acknowledged(
    store: RecordStore, ann: Owner, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.faults += [Fault(PUBLISHING, Harm.UNHEARD)] * 9
    with pytest.raises(StorageUnavailable):
        await upload(store, ann, DRAFT, "1")
    proxy.faults.clear()
    await answering(store)
    (taken,) = await store.blobs.catalogue.condemned(9)
    assert taken.late_until is not None
    erasure = await erase(store, ann)
    assert await state(store, ann, erasure) == "running"
    monkeypatch.setattr(time, "time", lambda: taken.late_until)
    await done(store, ann, erasure)
    assert list(store.blobs.backend.list()) == []


async def test_an_erasure_waits_where_the_bytes_were_sent_twice(
    store: RecordStore, ann: Owner, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.faults.append(Fault(PUBLISHING, Harm.UNHEARD))
    blob = await upload(store, ann, DRAFT, "1")
    await ingest(store, ann, "1", [blob])
    erasure = await erase(store, ann)
    assert await state(store, ann, erasure) == "running"
    assert list(store.blobs.backend.list()) == []
    (stored,) = await store.blobs.catalogue.walk(None, 9)
    assert stored.late_until is not None
    monkeypatch.setattr(time, "time", lambda: stored.late_until)
    await done(store, ann, erasure)
    assert (await store.erasures.find(ann, erasure)).report.blobs == 1


SENDER = """
import asyncio, sys
from pathlib import Path
from blobstore.backends.where import Where
from records.store import RecordStore
from tests.fakes.data_directory import DRAFT, upload

async def main():
    store = await RecordStore.open(Path(sys.argv[1]), where=Where(*sys.argv[2:5]))
    await upload(store, await store.access.owner("ann"), DRAFT, "1")

asyncio.run(main())
"""


async def test_what_comes_after_its_process_was_killed_goes_and_the_erasure_is_complete_then(
    store: RecordStore, ann: Owner, proxy: TcpProxy, where: Where, forks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.faults.append(Fault(PUBLISHING, Harm.HELD))
    sender = launch(forks, "-c", SENDER, store.directory, where.location, where.endpoint, where.region)
    await asyncio.to_thread(proxy.held.acquire)
    sender.killed()
    await store.collect(0)  # nothing is there yet
    erasure = await erase(store, ann)
    proxy.go.set()
    async with asyncio.timeout(60):
        while not list(store.blobs.backend.list()):
            await asyncio.sleep(0.02)
    assert await state(store, ann, erasure) == "running"
    await store.collect(0)
    assert list(store.blobs.backend.list()) == []
    now = time.time() + LATE_SECONDS
    monkeypatch.setattr(time, "time", lambda: now)
    await done(store, ann, erasure)
    assert await store.blobs.catalogue.walk(None, 9) == []


async def test_nothing_waits_where_all_that_was_sent_was_acknowledged(store: RecordStore, ann: Owner) -> None:
    await ingest(store, ann, "1", [await upload(store, ann, LETTER, "1")])
    assert await state(store, ann, await erase(store, ann)) == "done"
    await ingest(store, ann, "2", [await upload(store, ann, LETTER, "2")])
    await delete(store, ann, "2")
    await store.collect(0)
    assert await store.blobs.catalogue.walk(None, 9) == []
