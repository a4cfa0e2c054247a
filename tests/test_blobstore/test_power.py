"""A power cut at any moment: no acknowledged blob is lost, no removed one comes back; a disk that fails says so."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blobstore.backend import ObjectName
from blobstore.backends.filesystem import FilesystemBackend
from blobstore.errors import OutOfSpace, StorageUnavailable
from blobstore.resumable import About, Resumables
from blobstore.staging import Staging
from blobstore.store import BlobStore, Slot
from tests.fakes.after_cut import SENT
from tests.fakes.power import Disk
from tests.fakes.stores import OWNER, SLOT, collect, nothing_is_left, put, read_all
from tests.fakes.warm import asking


async def store_on(disk: Disk) -> BlobStore:
    return await BlobStore.open(disk.path / "data")


def different(rng: random.Random, number: int) -> bytes:
    """Bytes that no other number gets; none at all for the first."""
    return b"%d " % number + rng.randbytes(rng.choice([0, 100, 9000])) if number else b""


@pytest.mark.long
def test_a_published_object_survives_and_a_removed_one_stays_away(
    disk: Disk, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    staging = Staging.open(disk.path / "staging")
    backend = FilesystemBackend(disk.path / "data")
    there: list[ObjectName] = []
    removed: list[bytes] = []
    bodies: dict[ObjectName, bytes] = {}
    for number in range(sized(8, 40)):
        staged = staging.create(f"{number:032x}")
        # What comes back needs the folders that went with it.
        body = removed.pop() if removed else different(rng, number)
        staged.append([body])
        name = ObjectName(OWNER, staged.seal().digest, f"{number:032x}")
        bodies[name] = body
        disk.mark(f"either {name.digest.hex}")
        backend.publish(name, staged.path)
        disk.mark(f"kept {name.digest.hex}")
        staged.discard()
        there.append(name)
        if number % 3 == 2:
            going = rng.sample(there, 2)
            removed += [bodies[each] for each in going[:1]]
            for each in going:
                # From here on until the removal has returned, both is right.
                disk.mark(f"either {each.digest.hex}")
            backend.remove(going)
            there = [each for each in there if each.digest not in {gone.digest for gone in going}]
            for each in going:
                disk.mark(f"gone {each.digest.hex}")
    staging.close()
    assert (
        disk.after_every_cut(asking(forks, "tests.fakes.after_cut", "backend"), "strict,ext4", sized(30, 100_000)) == ""
    )


@pytest.mark.long
async def test_an_acknowledged_upload_survives_and_an_erased_one_stays_away(
    disk: Disk, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    store = await store_on(disk)
    for number in range(sized(5, 25)):
        slot = Slot("slack", "default", f"slot{number}", "text/plain")
        stored = await put(store, different(rng, number), slot)
        digest = stored.name.digest
        disk.mark(f"kept {digest.hex}")
        if number % 2:
            disk.mark(f"either {digest.hex}")
            await store.catalogue.drop_claims(OWNER, "slack", scope=None, beginning=slot.slot, now=time.time())
            await store.catalogue.condemn(OWNER, [digest], "erasure")
            await collect(store)
            disk.mark(f"gone {digest.hex}")
    await store.close()
    assert (
        disk.after_every_cut(asking(forks, "tests.fakes.after_cut", "store"), "strict,ext4", sized(16, 100_000)) == ""
    )


@pytest.mark.long
async def test_a_resumable_upload_has_come_as_far_as_was_acknowledged(
    disk: Disk, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    store = await store_on(disk)
    for number in range(sized(2, 6)):
        uploads = Resumables(store, lambda lease, about: SLOT)
        id = (await uploads.begin(OWNER, SLOT, About(len(SENT), "text/plain"), 3600.0)).id
        disk.mark(f"0 {id}")
        while True:
            async with await uploads.resume(OWNER, id) as upload:
                size = rng.choice([1, 5000, 90_000])
                part = SENT[upload.offset : upload.offset + size]
                if number % 2:
                    await upload.distrust()
                await upload.write(part)
                reached = await upload.pause()
                await upload.trust()
                disk.mark(f"{reached} {id}")
                if reached == len(SENT):
                    await upload.finish()
                    break
    await store.close()
    check = asking(forks, "tests.fakes.after_cut", "uploads")
    assert disk.after_every_cut(check, "strict,ext4,random", sized(6, 100_000)) == ""


# -- a disk that fails -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["staging", "blobs"])
async def test_a_failed_fsync_is_an_error_and_keeps_nothing(disk: Disk, path: str) -> None:
    store = await store_on(disk)
    disk.fault(op="fsync" if path == "staging" else "fsyncdir", path=path, nth=1, count=1, errno="EIO")
    with pytest.raises(StorageUnavailable):
        await put(store, b"data")
    await collect(store)
    assert await nothing_is_left(store)
    stored = await put(store, b"data")
    assert await read_all(store, stored.name.digest) == b"data"
    await store.close()


async def test_a_full_disk_is_an_error_and_keeps_nothing(disk: Disk, rng: random.Random) -> None:
    store = await store_on(disk)
    stored = await put(store, b"before")
    disk.limit(3 << 20)
    with pytest.raises(OutOfSpace):
        await put(store, rng.randbytes(5 << 20))
    assert list(store.staging.files()) == []
    assert list(store.backend.list()) == [(stored.name, 6)]
    assert await store.catalogue.leases() == []
    disk.limit(30 << 20)
    await put(store, rng.randbytes(5 << 20))
    await store.close()


async def test_a_blob_that_the_disk_cannot_read_is_an_error(disk: Disk, rng: random.Random) -> None:
    store = await store_on(disk)
    stored = await put(store, rng.randbytes(200_000))
    (path,) = [each for each in (disk.path / "data" / "blobs").rglob("*") if each.is_file()]
    async with await store.open_blob(OWNER, stored.name.digest) as blob:
        os.posix_fadvise(blob.fileno() or -1, 0, 0, os.POSIX_FADV_DONTNEED)
        disk.fault(op="read", path=path.name[:64], errno="EIO", count=1000)
        with pytest.raises(StorageUnavailable):
            await blob.read(0, 200_000)
    await store.close()
