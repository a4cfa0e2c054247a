"""Resumable uploads: whatever ends a process, and wherever, the next one goes on, or finds what became of it."""

import asyncio
import os
import random
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from blobstore.catalogue import Lease
from blobstore.digest import Digest
from blobstore.errors import ContentMismatch, LeaseLost, OutOfSpace, StorageUnavailable, UploadBusy, UploadNotFound
from blobstore.gc import Collector
from blobstore.resumable import About, Resumables, join
from blobstore.resumable import uploads as resumable
from blobstore.resumable.file import ResumedFile
from blobstore.resumable.folder import Folder
from blobstore.space import Floor
from blobstore.staging import ENDING, Staging
from blobstore.store import BlobStore
from blobstore.upload import BUFFER, Slot
from tests.fakes.descriptors import open_under
from tests.fakes.stores import OWNER, SLOT, content_of, put, read_all

DAY = 24 * 3600.0


def slot_of(lease: Lease, about: About) -> Slot:
    return Slot(lease.holder, lease.scope, lease.slot, about.media_type)


def resumables(store: BlobStore) -> Resumables:
    """As a process has them that was just started."""
    return Resumables(store, slot_of)


async def begun(store: BlobStore, data: bytes, **about: Any) -> str:
    """An upload of which all has come, and nothing was stored yet."""
    uploads = resumables(store)
    id = (await uploads.begin(OWNER, SLOT, About(len(data), SLOT.media_type, **about), DAY)).id
    async with await uploads.resume(OWNER, id) as upload:
        await upload.write(data)
    return id


async def finished(store: BlobStore, id: str) -> Digest:
    async with await resumables(store).resume(OWNER, id) as upload:
        return (await upload.finish()).name.digest


async def tidied(store: BlobStore) -> list[str]:
    """What is left in staging after what every machine does all the time, and an hour."""
    store.staging.forget(time.time() + 1)
    collector = Collector(store, None)  # type: ignore[arg-type]
    await collector.tidy()
    await collector.tidy()
    assert await store.catalogue.leases() == []
    assert list(store.staging.foreign()) == []
    root = store.staging.path(store.staging.process, "").parent
    return sorted(entry.name for entry in root.iterdir() if entry.name != store.staging.process)


@pytest.mark.parametrize("begin", [b"", b"x" * 5, b"y" * (2 * BUFFER + 17)], ids=len)
async def test_what_another_process_goes_on_with_is_what_was_sent(
    store: BlobStore, rng: random.Random, begin: bytes
) -> None:
    rest = rng.randbytes(BUFFER + 3)
    id = (await resumables(store).begin(OWNER, SLOT, About(len(begin + rest), "a/b"), DAY)).id
    for piece in (begin, rest):
        uploads = resumables(store)
        offset = (await uploads.find(OWNER, id)).offset
        async with await uploads.resume(OWNER, id) as upload:
            assert upload.offset == offset
            await upload.write(piece)
    digest = await finished(store, id)
    assert digest == content_of(begin + rest).digest
    assert await read_all(store, digest) == begin + rest
    assert await tidied(store) == []


@pytest.mark.parametrize("known", [False, True], ids=["new", "deduplicated"])
@pytest.mark.parametrize("step", ["note", "adopt", "put", "publish", "end"])
async def test_one_that_was_cut_off_while_it_was_stored_is_stored_all_the_same(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, step: str, known: bool
) -> None:
    data = b"all that has come"
    if known:
        await put(store, data, Slot("other", "default", "elsewhere", "a/b"))
    id = await begun(store, data)

    def cut_off(*_: Any, **__: Any) -> Any:
        raise StorageUnavailable("cut off")

    of, name = {
        "note": (Folder, "ending"),
        "adopt": (store.catalogue, "adopt"),
        "put": (store.backend, "publish"),
        "publish": (store.catalogue, "publish"),
        "end": (Folder, "ended"),
    }[step]
    with monkeypatch.context() as patched:
        patched.setattr(of, name, cut_off)
        if known and step in ("put", "publish"):
            assert await finished(store, id) == content_of(data).digest  # is claimed, without any of these
        else:
            with pytest.raises(StorageUnavailable):
                await finished(store, id)
    progress = await resumables(store).find(OWNER, id)
    if progress.is_whole:
        await finished(store, id)
        progress = await resumables(store).find(OWNER, id)
    assert progress.done is not None
    assert progress.done.digest == content_of(data).digest
    (claim,) = [
        each
        for each in await store.catalogue.claims_of(OWNER, progress.done.digest)
        if each.claim.holder == SLOT.holder
    ]
    assert claim.claim.slot == SLOT.slot
    assert await read_all(store, progress.done.digest) == data
    assert await tidied(store) == []


async def test_one_that_was_erased_while_it_was_stored_did_not_come_to_pass(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"another has the same"
    await put(store, data, Slot("other", "default", "elsewhere", "a/b"))
    id = await begun(store, data)
    adopt = store.catalogue.adopt

    async def too_late(*arguments: Any) -> Any:
        await store.catalogue.fence(OWNER, SLOT.holder, None)
        return await adopt(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(store.catalogue, "adopt", too_late)
        with pytest.raises(LeaseLost):
            await finished(store, id)
    with pytest.raises(UploadNotFound):
        await resumables(store).find(OWNER, id)
    folder = Folder(store.staging, store.staging.process_of(id), id)
    assert not folder.path.with_suffix(ENDING).exists()
    assert await tidied(store) == []


async def test_what_is_not_what_was_declared_is_not_kept(store: BlobStore) -> None:
    id = await begun(store, b"wrong", sha256=content_of(b"right").sha256.hex())
    with pytest.raises(ContentMismatch):
        await finished(store, id)
    with pytest.raises(UploadNotFound):
        await resumables(store).find(OWNER, id)
    assert await tidied(store) == []


async def test_what_came_under_a_checksum_is_dropped_when_its_process_dies(store: BlobStore) -> None:
    id = await begun(store, b"good")
    folder = Folder(store.staging, store.staging.process_of(id), id)
    folder.distrust(2)
    assert (await resumables(store).find(OWNER, id)).offset == 2
    async with await resumables(store).resume(OWNER, id) as upload:
        assert upload.offset == 2
        await upload.write(b"ld")
    assert await finished(store, id) == content_of(b"gold").digest


async def test_a_note_that_is_cut_off_while_it_is_written_leaves_the_former(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    id = await begun(store, b"good")
    folder = Folder(store.staging, store.staging.process_of(id), id)
    folder.distrust(2)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", failing)
        with pytest.raises(StorageUnavailable):
            folder.distrust(0)
    assert folder.offset() == 2
    await resumables(store).end(OWNER, id)
    assert await tidied(store) == []


async def test_what_lay_beyond_is_gone_durably_before_it_is_forgotten_that_it_was_not_good(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await begun(store, b"good")
    folder = Folder(store.staging, store.staging.process_of(id), id)
    folder.distrust(2)
    durable, sync, trust = list[int](), os.fsync, Folder.trust

    def synced(descriptor: int) -> None:
        sync(descriptor)
        if os.fstat(descriptor).st_ino == folder.path.stat().st_ino:
            durable.append(os.fstat(descriptor).st_size)

    def trusted(self: Folder) -> None:
        assert durable[-1] == 2
        trust(self)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Folder, "trust", trusted)
    async with await resumables(store).resume(OWNER, id) as upload:
        assert upload.offset == 2


async def test_what_was_hashed_of_bytes_that_could_not_be_dropped_is_not_relied_on(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise StorageUnavailable("the disk failed")

    here, there = resumables(store), resumables(store)
    id = (await here.begin(OWNER, SLOT, About(8, SLOT.media_type), DAY)).id
    upload = await here.resume(OWNER, id)
    await upload.distrust()
    await upload.write(b"BAD!")
    with monkeypatch.context() as patched:
        patched.setattr(ResumedFile, "cut", failing)
        with pytest.raises(StorageUnavailable):
            await upload.__aexit__(None, None, None)
    async with await there.resume(OWNER, id) as upload:
        assert upload.offset == 0
        await upload.write(b"good")
    async with await here.resume(OWNER, id) as upload:
        await upload.write(b"ness")
        assert (await upload.finish()).name.digest == content_of(b"goodness").digest


async def test_one_that_cannot_be_gone_on_with_leaves_nothing_open(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    id = await begun(store, b"good")
    folder = Folder(store.staging, store.staging.process_of(id), id)
    before = open_under(folder.path.parent)
    for of, name in ((os, "ftruncate"), (Path, "unlink")):
        folder.distrust(2)
        with monkeypatch.context() as patched:
            patched.setattr(of, name, failing)
            with pytest.raises(StorageUnavailable):
                await resumables(store).resume(OWNER, id)
        assert open_under(folder.path.parent) == before


@pytest.mark.parametrize("is_gone", [True, False])
async def test_parts_that_cannot_be_read_are_told(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    parts = [await begun(store, data, partial=True) for data in (b"a", b"b")]
    opening = Path.open

    def failing(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name == parts[1]:
            raise FileNotFoundError if is_gone else OSError(5, "Input/output error")
        return opening(self, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", failing)
        with pytest.raises(UploadNotFound if is_gone else StorageUnavailable):
            await join(resumables(store), OWNER, SLOT, parts)
    joined = await join(resumables(store), OWNER, SLOT, parts)
    assert joined.done is not None
    assert joined.done.digest == content_of(b"ab").digest
    assert await tidied(store) == []


async def test_two_processes_are_never_in_one(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "BUSY_SECONDS", 0.05)
    id = await begun(store, b"abc")
    async with await resumables(store).resume(OWNER, id):
        with pytest.raises(UploadBusy):
            await resumables(store).resume(OWNER, id)
        with pytest.raises(UploadBusy):
            await resumables(store).end(OWNER, id)
    await resumables(store).end(OWNER, id)
    assert await tidied(store) == []


async def test_a_request_that_went_away_leaves_the_upload_to_others(store: BlobStore) -> None:
    id = await begun(store, b"abc")
    for _ in range(20):
        resuming = asyncio.create_task(resumables(store).resume(OWNER, id))
        await asyncio.sleep(0)
        resuming.cancel()
        await asyncio.wait([resuming])
    assert await finished(store, id) == content_of(b"abc").digest


async def test_one_is_found_by_its_owner_and_its_id_alone(store: BlobStore) -> None:
    id = await begun(store, b"abc")
    async with await store.receive(OWNER, SLOT) as other:
        for namespace, wanted in [("other", id), (OWNER, other.lease.id), (OWNER, "../" + id), (OWNER, id + "\n")]:
            with pytest.raises(UploadNotFound):
                await resumables(store).find(namespace, wanted)
            with pytest.raises(UploadNotFound):
                await resumables(store).resume(namespace, wanted)


async def test_however_many_there_are_nobody_waits_for_a_search_among_them(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    glob, searching = Path.glob, list[threading.Thread]()

    def seen(self: Path, pattern: str) -> Any:
        searching.append(threading.current_thread())
        return glob(self, pattern)

    monkeypatch.setattr(Path, "glob", seen)
    await begun(store, b"abc")
    assert searching == []
    for ask in (resumables(store).find, resumables(store).resume, resumables(store).end):
        with pytest.raises(UploadNotFound):
            await ask(OWNER, "0" * 32)
    assert searching
    assert threading.main_thread() not in searching


async def test_one_that_another_machine_has_is_not_said_to_be_gone(store: BlobStore) -> None:
    id = "a" * 32
    lease = Lease(id, OWNER, "slack", "default", f"{'f' * 16}-{id[:16]}", time.time() + DAY, slot="s")
    await store.catalogue.lease(lease)
    for asked in (resumables(store).find(OWNER, id), resumables(store).resume(OWNER, id)):
        with pytest.raises(StorageUnavailable):
            await asked


async def test_a_directory_that_was_moved_to_another_disk_has_its_uploads_still(tmp_path: Path) -> None:
    store = await BlobStore.open(tmp_path / "old")
    id = await begun(store, b"half of it")
    await store.close()
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    moved = await BlobStore.open(tmp_path / "new")
    assert moved.staging.host != store.staging.host
    await Collector(moved, None).tidy()  # type: ignore[arg-type]
    assert (await resumables(moved).find(OWNER, id)).offset == 10
    assert await finished(moved, id) == content_of(b"half of it").digest
    assert await tidied(moved) == []
    await moved.close()


async def test_bytes_that_have_come_need_no_room_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await BlobStore.open(tmp_path, Floor(1))
    id = await begun(store, b"x" * 1000)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((1, 1, 0, 0, 500, 0, 0, 0, 0, 255)))
    store.disk._kept_at = 0.0
    await store.disk.require_room()
    with pytest.raises(OutOfSpace):
        await store.disk.require_room(500)
    await resumables(store).end(OWNER, id)
    await store.close()


async def test_nothing_is_left_of_one_that_was_refused(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OutOfSpace("full")

    monkeypatch.setattr(Folder, "begin", full)
    with pytest.raises(OutOfSpace):
        await resumables(store).begin(OWNER, SLOT, About(5, "a/b"), DAY)
    assert await tidied(store) == []


def test_a_process_that_dies_while_it_begins_one_leaves_nothing(tmp_path: Path) -> None:
    staging = Staging.open(tmp_path / "staging")
    id = "b" * 32
    lock = staging.keep(staging.process_of(id))
    assert staging.dead() == []
    os.close(lock)
    assert staging.dead() == [staging.process_of(id)]
    staging.bury(staging.process_of(id))
    assert staging.dead() == []
    staging.close()
