"""Room is reserved before bytes are written, in steps that are few, and given back whatever happens."""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from blobstore.backends.memory import MemoryBackend
from blobstore.catalogue import Lease
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.digest import Digest
from blobstore.errors import LargerThanQuota, OutOfSpace, OverQuota
from blobstore.quota import WHOLE, Limit
from blobstore.reservation import FIRST_STEP, MAX_STEP, MIN_STEP
from blobstore.space import Floor, Space
from blobstore.staging import Staging
from blobstore.store import BlobStore, Expected
from blobstore.upload import BUFFER
from tests.fakes.stores import OWNER, SLOT, chunks, put

MIB = 1 << 20


class CountingCatalogue(MemoryCatalogue):
    """Counts how often room was asked for."""

    asked = 0

    async def reserve(self, *arguments: object) -> None:
        self.asked += 1
        await super().reserve(*arguments)  # type: ignore[arg-type]


@dataclass
class Disk:
    """What the file system says of itself."""

    free: int = 1 << 40
    free_inodes: int = 1 << 20
    inodes: int = 1 << 30

    def statvfs(self, _: object) -> "Disk":
        return self

    f_frsize = 1

    @property
    def f_bavail(self) -> int:
        return self.free

    @property
    def f_files(self) -> int:
        return self.inodes

    @property
    def f_favail(self) -> int:
        return self.free_inodes


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk, of any size: a real one cannot be filled to the byte by a test."""
    disk = Disk()
    monkeypatch.setattr(os, "statvfs", disk.statvfs)
    return disk


@pytest.fixture
def catalogue() -> CountingCatalogue:
    return CountingCatalogue()


@pytest.fixture
async def store(tmp_path: Path, catalogue: CountingCatalogue, disk: Disk) -> AsyncIterator[BlobStore]:
    floor = Space(tmp_path, Floor(bytes=10 * MIB, inodes=100))
    store = BlobStore(MemoryBackend(), catalogue, Staging.open(tmp_path / "staging"), floor)
    yield store
    assert await catalogue.reserved() == 0
    assert list(store.staging.files()) == []
    await store.close()


async def test_a_declared_length_is_reserved_before_the_first_byte(store: BlobStore) -> None:
    async with await store.receive(OWNER, SLOT, 5 * MIB):
        assert await store.catalogue.reserved() == 5 * MIB


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
async def test_what_the_disk_could_never_hold_is_refused_before_it_takes_room_from_others(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    async def lease(lease: Lease, *_: object) -> int:
        raise AssertionError(f"{lease.reserved} bytes were reserved")

    monkeypatch.setattr(store.catalogue, "lease", lease)
    with pytest.raises(OutOfSpace):
        await store.receive(OWNER, SLOT, size)


async def test_a_body_of_unknown_length_reserves_as_it_grows_in_few_steps(
    store: BlobStore, catalogue: CountingCatalogue
) -> None:
    async with await store.receive(OWNER, SLOT) as upload:
        assert await catalogue.reserved() == FIRST_STEP
        for received in range(MIB, 100 * MIB + 1, MIB):
            await upload.write(bytes(MIB))
            assert received <= await catalogue.reserved() <= received + max(MIN_STEP, min(MAX_STEP, received))
        await upload.finish()
    assert catalogue.asked <= 5


async def test_a_small_body_of_unknown_length_asks_once(store: BlobStore, catalogue: CountingCatalogue) -> None:
    await put(store, bytes(FIRST_STEP))
    assert catalogue.asked == 0


async def test_the_last_byte_of_a_quota_can_be_used_by_a_body_of_unknown_length(store: BlobStore) -> None:
    await store.catalogue.limit(Limit(OWNER, WHOLE, 2 * MIB + 1))
    await put(store, bytes(2 * MIB + 1))
    with pytest.raises(OverQuota):
        await put(store, b"x")


async def test_a_body_that_outgrows_its_quota_is_refused_and_leaves_nothing(store: BlobStore) -> None:
    await store.catalogue.limit(Limit(OWNER, WHOLE, 3 * MIB))
    with pytest.raises(LargerThanQuota):
        await put(store, bytes(4 * MIB))
    assert await store.catalogue.volumes() == []


@pytest.mark.parametrize("size", [2 * MIB + 1, 20 * MIB])
@pytest.mark.parametrize("declared", [True, False])
async def test_the_last_byte_of_a_quota_can_be_used_by_what_is_drawn_and_no_more(
    store: BlobStore, size: int, declared: bool
) -> None:
    await store.catalogue.limit(Limit(OWNER, WHOLE, size))
    await drawn(store, bytes(size), size if declared else None)
    await store.catalogue.limit(Limit(OWNER, WHOLE, 2 * size))
    with pytest.raises(OverQuota):
        await drawn(store, b"x" * (size + 1), size if declared else None)
    assert (await store.catalogue.volume(OWNER)).reserved == 0


async def test_room_is_there_before_what_is_drawn_is_written(store: BlobStore) -> None:
    async with await store.receive(OWNER, SLOT) as upload:
        written: list[tuple[int, int]] = []

        def read(into: memoryview) -> int:
            written.append((upload._staged.size, upload._reservation.bytes))
            return len(into) if len(written) < 40 else 0

        await upload.draw(read)
    assert written[-1][0] == 39 * MIB
    assert all(size <= reserved for size, reserved in written)


async def drawn(store: BlobStore, data: bytes, size: int | None) -> None:
    async with await store.receive(OWNER, SLOT, size) as upload:
        await upload.draw(io.BytesIO(data).readinto)
        await upload.finish()


async def test_bytes_that_are_stored_already_need_room_while_they_come_and_none_after(store: BlobStore) -> None:
    data = bytes(3 * MIB)
    await put(store, data)
    await store.catalogue.limit(Limit(OWNER, WHOLE, 5 * MIB))
    with pytest.raises(OverQuota):
        await store.put(OWNER, SLOT, chunks(data), Expected(size=len(data)))
    await store.catalogue.limit(Limit(OWNER, WHOLE, 6 * MIB))
    await store.put(OWNER, SLOT, chunks(data), Expected(size=len(data)))
    assert (await store.catalogue.volume(OWNER)).stored == len(data)


async def test_a_limit_that_shrinks_does_not_stop_an_upload_that_has_its_room(store: BlobStore) -> None:
    async with await store.receive(OWNER, SLOT, 3 * MIB) as upload:
        await store.catalogue.limit(Limit(OWNER, WHOLE, 1))
        await upload.write(bytes(3 * MIB))
        await upload.finish()


async def test_many_uploads_at_once_never_overshoot_together(store: BlobStore) -> None:
    await store.catalogue.limit(Limit(OWNER, WHOLE, 10 * MIB))

    async def one(number: int) -> None:
        with suppress(OverQuota):
            await put(store, number.to_bytes() * (2 * MIB))
        assert (await store.catalogue.volume(OWNER)).stored <= 10 * MIB

    await asyncio.gather(*map(one, range(20)))
    # What each takes room for in vain is given back: where all refused each other, one alone has room again.
    await one(20)
    assert (await store.catalogue.volume(OWNER)).stored > 0


async def test_above_the_floor_there_is_room_and_below_there_is_none(store: BlobStore, disk: Disk) -> None:
    disk.free = 10 * MIB + 2
    await store.put(OWNER, SLOT, chunks(b"ab"), Expected(size=2))
    with pytest.raises(OutOfSpace, match="must stay free"):
        await store.put(OWNER, SLOT, chunks(b"abc"), Expected(size=3))


async def test_what_others_have_reserved_is_not_free(store: BlobStore, disk: Disk) -> None:
    disk.free = 20 * MIB
    async with await store.receive(OWNER, SLOT, 8 * MIB):
        with pytest.raises(OutOfSpace):
            await store.receive(OWNER, SLOT, 3 * MIB)
    async with await store.receive(OWNER, SLOT, 3 * MIB):
        pass


async def test_what_was_written_is_not_counted_twice(store: BlobStore, disk: Disk) -> None:
    disk.free = 20 * MIB
    async with await store.receive(OWNER, SLOT, 8 * MIB) as upload:
        await upload.write(bytes(6 * MIB))
        await upload.write(bytes(BUFFER))  # waits for what was written before
        disk.free -= 6 * MIB
        async with await store.receive(OWNER, SLOT, 2 * MIB):
            pass


async def test_too_few_inodes_are_too_little_room(store: BlobStore, disk: Disk) -> None:
    disk.free_inodes = 99
    with pytest.raises(OutOfSpace, match="inodes"):
        await put(store, b"data")
    disk.inodes = 0  # made as they are needed
    await put(store, b"data")


async def test_below_the_floor_bytes_are_still_read(store: BlobStore, disk: Disk) -> None:
    stored = await put(store, b"data")
    disk.free = 0
    async with await store.open_blob(OWNER, Digest.parse(str(stored.name.digest))) as blob:
        assert await blob.read(0, 4) == b"data"
