"""Uploads that end early, are fenced off or meet a medium that fails leave nothing half-done."""

import asyncio
import errno
import os
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from blobstore.backend import ObjectName
from blobstore.backends.memory import MemoryBackend, MemoryReader
from blobstore.catalogue import Catalogue, State, Stored
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.digest import Digest
from blobstore.errors import (
    BlobError,
    ContentMismatch,
    LeaseLost,
    OutOfSpace,
    StorageUnavailable,
)
from blobstore.reading import SMALL
from blobstore.staging import Staging
from blobstore.store import BlobStore, Expected
from blobstore.upload import BUFFER
from tests.fakes.stores import OWNER, SLOT, collect, nothing_is_left, put, read_all, still

# -- uploads that end early --------------------------------------------------------------------------------------------


async def test_an_upload_that_is_not_finished_leaves_nothing(store: BlobStore, rng: random.Random) -> None:
    async with await store.receive(OWNER, SLOT) as upload:
        await upload.write(rng.randbytes(3 * BUFFER))
        assert len(await store.catalogue.leases()) == 1
        assert len(list(store.staging.files())) == 1
    assert await nothing_is_left(store)


async def test_an_error_in_the_sender_leaves_nothing(store: BlobStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"data" * BUFFER
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(OWNER, SLOT, broken())
    assert await nothing_is_left(store)


async def test_discard_is_harmless_after_publish(store: BlobStore) -> None:
    upload = await store.receive(OWNER, SLOT)
    async with upload:
        await upload.write(b"data")
        stored = await upload.finish()
    assert await read_all(store, stored.name.digest) == b"data"


@pytest.mark.parametrize("phase", range(40))
async def test_cancellation_at_any_step_leaves_no_file_without_a_row(
    store: BlobStore, rng: random.Random, phase: int
) -> None:
    """The loop makes `phase` rounds, then the upload is cancelled: the rounds go through every await that it has."""
    data = rng.randbytes(2 * BUFFER + 10)
    task = asyncio.create_task(put(store, data))
    for _ in range(phase):
        await asyncio.sleep(0.0005)
        if task.done():
            break
    task.cancel()
    await asyncio.wait([task])
    await still(store)
    await collect(store)
    rows = await store.catalogue.walk(None, 10)
    assert list(store.backend.list()) == [(each.name, each.size) for each in rows]
    assert list(store.staging.files()) == []
    assert await store.catalogue.leases() == []
    if not task.cancelled():
        assert await read_all(store, task.result().name.digest) == data


async def test_a_cancelled_write_does_not_close_the_file_under_its_worker(
    store: BlobStore, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that is closed too early is given to the next upload, which then gets this one's bytes."""
    entered, proceed, closed = threading.Event(), threading.Event(), []
    async with await store.receive(OWNER, SLOT) as upload:
        write = upload._staged.write

        def slow(data: memoryview) -> None:
            entered.set()
            assert proceed.wait(10)
            closed.append(upload._staged._descriptor is None)
            write(data)

        monkeypatch.setattr(upload._staged, "write", slow)
        await upload.write(rng.randbytes(BUFFER))
        await store.submit(entered.wait)
        writing = asyncio.create_task(upload.write(rng.randbytes(BUFFER)))
        await asyncio.sleep(0.01)
        writing.cancel()
        await asyncio.wait([writing])
        asyncio.get_running_loop().call_later(0.1, proceed.set)
    assert closed == [False]
    assert await nothing_is_left(store)


async def test_cancelled_drawing_does_not_close_the_file_under_its_worker(store: BlobStore) -> None:
    entered, proceed, closed = threading.Event(), threading.Event(), []

    def read(into: memoryview) -> int:
        entered.set()
        assert proceed.wait(10)
        closed.append(upload._staged._descriptor is None)
        return len(into) if len(closed) < 3 else 0

    async with await store.receive(OWNER, SLOT) as upload:
        drawing = asyncio.create_task(upload.draw(read))
        await store.submit(entered.wait)
        drawing.cancel()
        await asyncio.wait([drawing])
        asyncio.get_running_loop().call_later(0.1, proceed.set)
    assert closed
    assert not any(closed)
    assert await nothing_is_left(store)


async def test_an_error_of_what_is_drawn_leaves_nothing(store: BlobStore) -> None:
    pieces = [BUFFER, BUFFER]

    def read(into: memoryview) -> int:
        if not pieces:
            raise EOFError("it ends too early")
        return pieces.pop()

    with pytest.raises(EOFError):
        async with await store.receive(OWNER, SLOT) as upload:
            await upload.draw(read)
    assert await nothing_is_left(store)


async def test_a_reader_that_nobody_waits_for_any_more_is_closed(tmp_path: Path) -> None:
    opened: list[MemoryReader] = []
    closed: list[MemoryReader] = []
    proceed = threading.Event()

    class Reader(MemoryReader):
        def close(self) -> None:
            closed.append(self)

    class Slow(MemoryBackend):
        def open(self, name: ObjectName) -> MemoryReader:
            reader = Reader(super().open(name)._data)
            opened.append(reader)
            proceed.wait(10)
            return reader

    store = BlobStore(Slow(), MemoryCatalogue(), Staging.open(tmp_path / "staging"))
    stored = await put(store, b"data")
    opening = asyncio.create_task(store.open_stored(stored))
    while not opened:
        await asyncio.sleep(0.001)
    opening.cancel()
    await asyncio.wait([opening])
    proceed.set()
    await still(store)
    await asyncio.sleep(0)
    assert closed == opened != []
    await store.close()


# -- fences ------------------------------------------------------------------------------------------------------------


async def test_an_upload_that_is_fenced_off_fails_and_leaves_nothing(store: BlobStore) -> None:
    async with await store.receive(OWNER, SLOT) as upload:
        await upload.write(b"data")
        await store.catalogue.fence(OWNER, "slack", "default")
        with pytest.raises(LeaseLost):
            await upload.finish()
    assert await nothing_is_left(store)


class Fenced(MemoryBackend):
    """The fence falls, and the collector removes staging file and object, at one moment of the publishing."""

    def __init__(self, moment: str, fence: Callable[[], None]) -> None:
        super().__init__()
        self._moment = moment
        self._fence = fence

    def publish(self, name: ObjectName, staged: Path) -> bool:
        # As a backend that has opened the staged file, and does not miss its name any more.
        opened = staged.with_name("opened")
        opened.hardlink_to(staged)
        if self._moment != "after":
            self._fence()
        super().publish(name, opened if self._moment == "while" else staged)
        if self._moment == "after":
            self._fence()
        return False


@pytest.mark.parametrize("moment", ["before", "while", "after"])
async def test_an_upload_that_is_fenced_off_around_its_publishing_leaves_nothing(tmp_path: Path, moment: str) -> None:
    async def fence() -> None:
        await store.catalogue.fence(OWNER, "slack", None)
        await collect(store)

    loop = asyncio.get_running_loop()
    backend = Fenced(moment, lambda: asyncio.run_coroutine_threadsafe(fence(), loop).result(10))
    store = BlobStore(backend, MemoryCatalogue(), Staging.open(tmp_path / "staging"))
    with pytest.raises(LeaseLost):
        await put(store, b"data")
    assert await nothing_is_left(store)
    await store.close()


async def test_leases_are_renewed_while_bytes_flow(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blobstore.leases.RENEW_SECONDS", 0.02)
    async with await store.receive(OWNER, SLOT) as upload:
        (lease,) = await store.catalogue.leases()
        while (await store.catalogue.leases())[0].expires_at == lease.expires_at:
            await asyncio.sleep(0.02)
        await upload.write(b"data")
        await upload.finish()


# -- a medium that fails -----------------------------------------------------------------------------------------------


class Faulty:
    """A catalogue that fails at one of its methods, before or after the step was taken."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.fails: dict[str, str] = {}

    def __getattr__(self, method: str) -> object:
        call = getattr(self._catalogue, method)

        async def faulty(*arguments: object, **named: object) -> object:
            when = self.fails.get(method)
            if when == "before":
                raise StorageUnavailable("no answer")
            answer = await call(*arguments, **named)
            if when == "after":
                raise StorageUnavailable("the answer was lost")
            return answer

        return faulty


@pytest.fixture
async def faulty(tmp_path: Path) -> AsyncIterator[tuple[BlobStore, Faulty]]:
    catalogue = Faulty(MemoryCatalogue())
    store = BlobStore(MemoryBackend(), catalogue, Staging.open(tmp_path / "staging"))  # type: ignore[arg-type]
    yield store, catalogue
    catalogue.fails.clear()
    await store.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["lease", "adopt", "publish", "abandon", "buried"])
async def test_a_catalogue_that_does_not_answer_never_leaves_a_file_without_a_row(
    faulty: tuple[BlobStore, Faulty], method: str, when: str
) -> None:
    store, catalogue = faulty
    catalogue.fails[method] = when
    done = False
    with suppress(StorageUnavailable):
        await put(store, b"data")
        done = True
    catalogue.fails.clear()
    assert list(store.staging.files()) == []
    await collect(store)
    rows = await store.catalogue.walk(None, 10)
    assert list(store.backend.list()) == [(each.name, each.size) for each in rows]
    # Told of an error, the sender may find its bytes there; told of none, it must.
    assert not done or [each.state for each in rows] == [State.LIVE]
    assert await store.catalogue.leases() == []


async def test_a_lease_that_could_not_be_ended_is_ended_later(
    faulty: tuple[BlobStore, Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.leases.RENEW_SECONDS", 0.02)
    store, catalogue = faulty
    catalogue.fails = {"publish": "before", "abandon": "before"}
    with pytest.raises(StorageUnavailable):
        await put(store, b"data")
    assert len(await store.catalogue.leases()) == 1
    catalogue.fails.clear()
    while await store.catalogue.leases():
        await asyncio.sleep(0.02)
    await collect(store)
    assert await nothing_is_left(store)


@pytest.mark.parametrize("error", [OutOfSpace, StorageUnavailable])
@pytest.mark.parametrize("written", [True, False])
async def test_a_backend_that_fails_while_publishing_keeps_nothing(
    tmp_path: Path, error: type[BlobError], written: bool
) -> None:
    class Failing(MemoryBackend):
        def publish(self, name: ObjectName, staged: Path) -> bool:
            if written:
                super().publish(name, staged)
            raise error("not this time")

    store = BlobStore(Failing(), MemoryCatalogue(), Staging.open(tmp_path / "staging"))
    with pytest.raises(error):
        await put(store, b"data")
    await collect(store)
    assert await nothing_is_left(store)
    await store.close()


async def test_stored_bytes_of_another_length_are_not_served(tmp_path: Path) -> None:
    store = await BlobStore.open(tmp_path / "data")
    stored = await put(store, b"data")
    (path,) = [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
    path.chmod(0o600)
    path.write_bytes(b"dat")
    with pytest.raises(ContentMismatch):
        await store.open_blob(OWNER, stored.name.digest)
    await store.close()


async def test_bytes_that_end_while_they_are_read_are_told(tmp_path: Path) -> None:
    store = await BlobStore.open(tmp_path / "data")
    stored = await put(store, b"some data" * SMALL)
    (path,) = [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
    async with await store.open_blob(OWNER, stored.name.digest) as blob:
        path.chmod(0o600)
        os.truncate(path, 5)
        with pytest.raises(ContentMismatch):
            await blob.read(0, 9)
    await store.close()


async def test_a_blob_that_is_healed_between_looking_and_opening_is_opened(tmp_path: Path) -> None:
    class Healing(MemoryCatalogue):
        healed = False

        async def find(self, namespace: str, digest: Digest) -> Stored | None:
            found = await super().find(namespace, digest)
            if found is not None and not self.healed:
                self.healed = True
                await self.quarantine(found.name)
                await put(store, b"data")
                await collect(store)
            return found

    store = BlobStore(MemoryBackend(), Healing(), Staging.open(tmp_path / "staging"))
    stored = await put(store, b"data")
    assert await read_all(store, stored.name.digest) == b"data"
    await store.close()


async def test_an_upload_is_stored_though_its_staged_file_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await BlobStore.open(tmp_path / "data")
    with monkeypatch.context() as failing:

        def unlink(path: Path, missing_ok: bool = False) -> None:
            raise OSError(errno.EIO, "not this time")

        failing.setattr(Path, "unlink", unlink)
        stored = await put(store, b"data")
        with pytest.raises(ContentMismatch):
            await put(store, b"data", expected=Expected(size=5))
    assert await read_all(store, stored.name.digest) == b"data"
    assert len(list(store.staging.files())) == 2  # debris, and known as such: no lease names it
    assert await store.catalogue.leases() == []
    await store.close()
