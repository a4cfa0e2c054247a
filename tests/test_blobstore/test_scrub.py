"""Scrubbing finds what rotted behind the store's back, and nothing else."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from blobstore.backend import ObjectName
from blobstore.backends.memory import MemoryBackend
from blobstore.catalogue import State, Stored
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.errors import BlobNotFound, StorageUnavailable
from blobstore.scrub import FUSE, PIECE, Bad, Verdict, scrub
from blobstore.staging import Staging
from blobstore.store import BlobStore, Slot

OWNER = "owner1"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BlobStore]:
    store = await BlobStore.open(tmp_path / "data")
    yield store
    await store.close()


async def put(store: BlobStore, data: bytes) -> Stored:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    return await store.put(OWNER, Slot("slack", "default", f"slot{data[:16].hex()}", "text/plain"), chunks())


def path_of(tmp_path: Path, name: ObjectName) -> Path:
    digest = name.digest.hex
    return tmp_path / "data" / "blobs" / name.namespace / digest[:2] / digest[2:4] / f"{digest}.{name.generation}"


def flip(path: Path, offset: int) -> None:
    """Damage one bit, as a disk would."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


async def test_what_matches_is_good_and_noted(store: BlobStore, rng: random.Random) -> None:
    bodies = [b"", b"small", rng.randbytes(PIECE), rng.randbytes(2 * PIECE + 5)]
    for body in bodies:
        await put(store, body)
    began = time.time()
    report = await scrub(store)
    assert (report.blobs, report.bytes, report.bad) == (4, sum(map(len, bodies)), [])
    assert all(each.verified_at >= began for each in await store.catalogue.walk(None, 10))
    assert (await scrub(store, before=began)).blobs == 0


@pytest.mark.parametrize("where", ["first byte", "last byte", "second piece"])
async def test_one_flipped_bit_is_found_quarantined_and_healed_by_the_same_bytes(
    store: BlobStore, tmp_path: Path, rng: random.Random, where: str
) -> None:
    body = rng.randbytes(PIECE + 100)
    stored = await put(store, body)
    flip(path_of(tmp_path, stored.name), {"first byte": 0, "last byte": PIECE + 99, "second piece": PIECE + 1}[where])
    report = await scrub(store)
    assert report.bad == [Bad(stored, Verdict.MISMATCH)]
    assert report.blobs == 0
    with pytest.raises(BlobNotFound):
        await store.open_blob(OWNER, stored.name.digest)
    healed = await put(store, body)
    assert healed.name != stored.name
    async with await store.open_blob(OWNER, stored.name.digest) as blob:
        assert await blob.read(0, len(body)) == body
    assert (await scrub(store)).bad == []


@pytest.mark.parametrize("length", [0, 4, 6])
async def test_bytes_that_are_fewer_or_more_do_not_match(store: BlobStore, tmp_path: Path, length: int) -> None:
    stored = await put(store, b"bytes")
    path_of(tmp_path, stored.name).chmod(0o600)
    os.truncate(path_of(tmp_path, stored.name), length)
    assert (await scrub(store)).bad == [Bad(stored, Verdict.MISMATCH)]


async def test_a_missing_file_is_found_and_quarantined(store: BlobStore, tmp_path: Path) -> None:
    await put(store, b"there")
    stored = await put(store, b"missing")
    await put(store, b"there as well")
    path_of(tmp_path, stored.name).unlink()
    report = await scrub(store)
    assert report.bad == [Bad(stored, Verdict.MISSING)]
    assert report.blobs == 2
    (found,) = await store.catalogue.generations(OWNER, stored.name.digest)
    assert found.state is State.QUARANTINED


async def test_the_only_blob_missing_is_found(store: BlobStore, tmp_path: Path) -> None:
    stored = await put(store, b"missing")
    path_of(tmp_path, stored.name).unlink()
    assert (await scrub(store)).bad == [Bad(stored, Verdict.MISSING)]


async def test_a_disk_that_is_not_mounted_quarantines_nothing(store: BlobStore, tmp_path: Path) -> None:
    for number in range(FUSE + 1):
        await put(store, b"%d" % number)
    (tmp_path / "data" / "blobs").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "blobs").mkdir()  # the empty mount point
    with pytest.raises(StorageUnavailable):
        await scrub(store)
    (tmp_path / "data" / "blobs").rmdir()
    with pytest.raises(StorageUnavailable):  # nor when the folder itself is gone
        await scrub(store)
    (tmp_path / "elsewhere").rename(tmp_path / "data" / "blobs")
    report = await scrub(store)
    assert (report.blobs, report.bad) == (FUSE + 1, [])


async def test_the_stalest_come_first_and_the_next_run_goes_on_from_there(store: BlobStore) -> None:
    stored = [await put(store, b"%d" % number) for number in range(6)]
    for age, each in enumerate(stored):
        await store.catalogue.verified([each.name], 1_000.0 - age)
    now = time.time()
    assert (await scrub(store, before=now, limit=2)).blobs == 2
    assert await store.catalogue.stalest(now, 10) == [
        each
        for each in sorted(await store.catalogue.walk(None, 10), key=lambda each: each.verified_at)
        if each.name in {one.name for one in stored[:4]}
    ]
    assert (await scrub(store, before=now)).blobs == 4


async def test_a_run_that_is_cut_off_keeps_what_it_found_good(store: BlobStore, rng: random.Random) -> None:
    for _ in range(4):
        await put(store, rng.randbytes(PIECE))
    now = time.time()
    run = asyncio.create_task(scrub(store, before=now, rate=4 * PIECE))
    while run and not run.done():
        await asyncio.sleep(0.3)
        run.cancel()
        await asyncio.wait([run])
    left = len(await store.catalogue.stalest(now, 10))
    assert 1 <= left <= 3


async def test_the_rate_is_kept(store: BlobStore, rng: random.Random) -> None:
    for _ in range(3):
        await put(store, rng.randbytes(PIECE))
    began = time.monotonic()
    await scrub(store, rate=4 * PIECE)
    assert 0.7 < time.monotonic() - began < 5


async def test_a_blob_that_is_collected_during_the_run_is_not_reported(store: BlobStore) -> None:
    stored = await put(store, b"data")
    opened = store.open_stored

    async def open_after_the_collection(each: Stored) -> object:
        await store.catalogue.drop_claims(OWNER, "slack", scope=None, now=0.0)
        await store.catalogue.condemn(OWNER, [stored.name.digest], "garbage")
        store.backend.remove([stored.name])
        return await opened(each)

    store.open_stored = open_after_the_collection  # type: ignore[method-assign, assignment]  # the moment in between
    report = await scrub(store)
    assert (report.blobs, report.bad) == (0, [])


class Flaky(MemoryBackend):
    """A medium with places that cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: Callable[[ObjectName], bool] = lambda name: False

    def open(self, name: ObjectName):  # type: ignore[no-untyped-def]  # the reader of the class above
        if self.broken(name):
            raise StorageUnavailable("input/output error")
        return super().open(name)


async def test_what_cannot_be_read_is_reported_and_stays_live(tmp_path: Path) -> None:
    backend = Flaky()
    store = BlobStore(backend, MemoryCatalogue(), Staging.open(tmp_path / "staging"))
    stored = [await put(store, b"%d" % number) for number in range(30)]
    backend.broken = lambda name: name in {each.name for each in stored[::3]}
    report = await scrub(store)
    assert report.blobs == 20
    assert {(each.stored.name, each.verdict) for each in report.bad} == {
        (each.name, Verdict.UNREADABLE) for each in stored[::3]
    }
    backend.broken = lambda name: False
    assert (await scrub(store)).blobs == 30
    backend.broken = lambda name: True
    with pytest.raises(StorageUnavailable):
        await scrub(store)
    await store.close()
