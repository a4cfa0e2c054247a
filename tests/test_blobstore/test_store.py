"""The blob store: one way in for every byte, one way out."""

import asyncio
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from blobstore.digest import Digest
from blobstore.errors import (
    BlobNotFound,
    ContentMismatch,
    WrongStore,
)
from blobstore.store import BlobStore, Expected, Slot
from blobstore.upload import BUFFER, DRAWN
from tests.fakes.descriptors import open_under
from tests.fakes.stores import OWNER, SLOT, chunks, collect, content_of, nothing_is_left, put, read_all
from tests.fakes.warm import launch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class PiecesOf(io.BytesIO):
    """These bytes, often fewer at once than were asked for."""

    def __init__(self, data: bytes, rng: random.Random) -> None:
        super().__init__(data)
        self._rng = rng

    def readinto(self, into: "WriteableBuffer", /) -> int:
        view = memoryview(into)
        return super().readinto(view[: max(1, len(view) // self._rng.choice([1, 1, 1, 2, 7]))])


# -- in and out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, BUFFER - 1, BUFFER, 3 * BUFFER + 7])
async def test_what_was_put_is_there_under_its_digest(store: BlobStore, rng: random.Random, size: int) -> None:
    data = rng.randbytes(size)
    stored = await put(store, data)
    assert (stored.name.digest, stored.sha256, stored.size) == (
        content_of(data).digest,
        content_of(data).sha256,
        size,
    )
    assert await read_all(store, stored.name.digest) == data
    assert list(store.staging.files()) == []
    assert await store.catalogue.leases() == []
    assert [each.claim.slot for each in await store.catalogue.claims_of(OWNER, stored.name.digest)] == ["slot1"]


async def test_the_size_of_the_writes_makes_no_difference(store: BlobStore, rng: random.Random) -> None:
    data = rng.randbytes(2 * BUFFER + 12345)
    digests = set()
    for size in (999, 65_536, BUFFER, len(data)):
        upload = await store.receive(OWNER, SLOT)
        async with upload:
            for start in range(0, len(data), size):
                await upload.write(data[start : start + size])
            digests.add((await upload.finish()).name)
    assert len(digests) == 1
    assert await read_all(store, content_of(data).digest) == data


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("size", [0, 1, BUFFER - 1, BUFFER, BUFFER + 4097, DRAWN, 2 * DRAWN + 3 * BUFFER + 7])
async def test_what_is_drawn_is_there_whole(store: BlobStore, rng: random.Random, size: int, declared: bool) -> None:
    data = rng.randbytes(size)
    with PiecesOf(data, rng) as source:
        async with await store.receive(OWNER, SLOT, size if declared else None) as upload:
            await upload.draw(source.readinto)
            stored = await upload.finish(Expected(size=size))
    assert stored.name.digest == content_of(data).digest
    assert await read_all(store, stored.name.digest) == data
    assert list(store.staging.files()) == []
    assert await store.catalogue.leases() == []


async def test_ranges_are_read_exactly_and_less_only_at_the_end(store: BlobStore, rng: random.Random) -> None:
    data = rng.randbytes(100_000)
    stored = await put(store, data)
    async with await store.open_blob(OWNER, stored.name.digest) as blob:
        assert blob.size == len(data)
        assert await blob.read(10, 20) == data[10:30]
        assert await blob.read(99_990, 100) == data[99_990:]
        assert await blob.read(100_000, 1) == b""


async def test_opening_what_is_not_there_raises(store: BlobStore) -> None:
    stored = await put(store, b"data")
    with pytest.raises(BlobNotFound):
        await store.open_blob(OWNER, content_of(b"never").digest)
    with pytest.raises(BlobNotFound):
        await store.open_blob("owner2", stored.name.digest)


async def test_the_event_of_a_slot_is_in_the_outbox_once(store: BlobStore) -> None:
    slot = Slot("slack", "default", "slot1", "text/plain", lambda content: b"stored %d" % content.size)
    await put(store, b"data", slot)
    await put(store, b"data", slot)
    with pytest.raises(ContentMismatch):
        await put(store, b"data", slot, Expected(size=5))
    assert [event.body for event in await store.catalogue.outbox(10)] == [b"stored 4", b"stored 4"]


# -- declared and arrived ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expected",
    [
        Expected(size=3),
        Expected(size=5),
        Expected(sha256=b"\0" * 32),
        Expected(digest=Digest("0" * 64)),
        Expected(4, content_of(b"data").sha256, content_of(b"Data").digest),
    ],
    ids=repr,
)
async def test_a_mismatch_keeps_nothing(store: BlobStore, expected: Expected) -> None:
    with pytest.raises(ContentMismatch):
        await put(store, b"data", SLOT, expected)
    assert await nothing_is_left(store)


async def test_what_is_declared_rightly_is_stored(store: BlobStore) -> None:
    content = content_of(b"data")
    await put(store, b"data", SLOT, Expected(4, content.sha256, content.digest))
    assert await read_all(store, content.digest) == b"data"


async def test_a_mismatch_leaves_a_blob_that_is_there_alone(store: BlobStore) -> None:
    stored = await put(store, b"data")
    with pytest.raises(ContentMismatch):
        await put(store, b"data", Slot("gmail", "default", "slot1", "text/plain"), Expected(size=5))
    assert await store.catalogue.find(OWNER, stored.name.digest) == stored
    assert len(await store.catalogue.claims_of(OWNER, stored.name.digest)) == 1


# -- the same bytes again ----------------------------------------------------------------------------------------------


async def test_the_same_bytes_are_stored_once(store: BlobStore) -> None:
    first = await put(store, b"data")
    again = await put(store, b"data", Slot("gmail", "default", "slot1", "image/png"))
    assert first == again
    assert list(store.backend.list()) == [(first.name, 4)]
    assert len(await store.catalogue.claims_of(OWNER, first.name.digest)) == 2


async def test_uploads_of_the_same_content_at_once_leave_one_stored_generation(
    store: BlobStore, rng: random.Random
) -> None:
    data = rng.randbytes(300_000)
    uploads = [put(store, data, Slot("slack", "default", f"slot{number}", "text/plain")) for number in range(8)]
    stored = set(await asyncio.gather(*uploads))
    assert len(stored) == 1
    (name,) = [each.name for each in stored]
    assert list(store.backend.list()) == [(name, len(data))]
    assert await store.catalogue.generations(OWNER, name.digest) == list(stored)
    assert len(await store.catalogue.claims_of(OWNER, name.digest)) == 8
    assert await store.catalogue.leases() == []
    assert list(store.staging.files()) == []


async def test_two_namespaces_share_nothing(store: BlobStore) -> None:
    first = await store.put("owner1", SLOT, chunks(b"data"))
    second = await store.put("owner2", SLOT, chunks(b"data"))
    assert first.name != second.name
    assert len(list(store.backend.list())) == 2


async def test_uploading_again_heals_a_quarantined_blob(store: BlobStore) -> None:
    bad = await put(store, b"data")
    await store.catalogue.quarantine(bad.name)
    with pytest.raises(BlobNotFound):
        await store.open_blob(OWNER, bad.name.digest)
    await put(store, b"data")
    assert await read_all(store, bad.name.digest) == b"data"


# -- opening, closing, dying -------------------------------------------------------------------------------------------


async def test_a_store_of_another_catalogue_is_refused_and_closed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        await (await BlobStore.open(tmp_path / name)).close()
    (tmp_path / "one" / "store-id").write_bytes((tmp_path / "two" / "store-id").read_bytes())
    with pytest.raises(WrongStore):
        await BlobStore.open(tmp_path / "one")
    assert open_under(tmp_path) == []
    assert list((tmp_path / "one" / "staging").iterdir()) == []


async def test_what_was_put_is_there_after_reopening(tmp_path: Path) -> None:
    store = await BlobStore.open(tmp_path / "new" / "data")
    stored = await put(store, b"data")
    await store.close()
    await store.close()
    store = await BlobStore.open(tmp_path / "new" / "data")
    assert await read_all(store, stored.name.digest) == b"data"
    await store.close()


async def test_closing_waits_for_what_is_being_published(tmp_path: Path, rng: random.Random) -> None:
    store = await BlobStore.open(tmp_path / "data")
    data = rng.randbytes(BUFFER)
    upload = await store.receive(OWNER, SLOT)
    await upload.write(data)
    finishing = asyncio.create_task(upload.finish())
    while upload._finishing is None:
        await asyncio.sleep(0)
    finishing.cancel()
    await store.close()
    store = await BlobStore.open(tmp_path / "data")
    assert await read_all(store, content_of(data).digest) == data
    await store.close()


SENDER = """
import asyncio, sys, random
from pathlib import Path
from blobstore.store import BlobStore, Slot

async def chunks(data):
    for start in range(0, len(data), 65536):
        yield data[start:start + 65536]
        await asyncio.sleep(0)

async def send(store, worker):
    choices = random.Random(f"{sys.argv[2]}/{worker}")
    number = 0
    while True:
        number += 1
        data = choices.randbytes(choices.choice([10, 100_000, 2_500_000]))
        slot = Slot("slack", "default", f"{worker}/{number}", "text/plain")
        stored = await store.put("owner1", slot, chunks(data))
        print(stored.name.digest.hex, flush=True)

async def main():
    store = await BlobStore.open(Path(sys.argv[1]))
    await asyncio.gather(*(send(store, worker) for worker in range(4)))

asyncio.run(main())
"""


@pytest.mark.long
async def test_a_process_killed_in_mid_upload_keeps_what_it_acknowledged_and_leaves_only_debris_that_is_found(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    acknowledged: set[str] = set()
    for _ in range(sized(3, 60)):
        sender = launch(forks, "-c", SENDER, tmp_path / "data", rng.random())
        acknowledged.add(sender.out.readline().strip())
        await asyncio.sleep(rng.random() * 0.3)
        acknowledged |= {line.strip() for line in sender.killed().splitlines(True) if line.endswith("\n")}

        store = await BlobStore.open(tmp_path / "data")
        for digest in acknowledged:
            data = await read_all(store, Digest(digest))
            assert content_of(data).digest.hex == digest
        dead = store.staging.dead()
        assert len(dead) == 1
        await store.catalogue.expire(0.0, dead)
        await collect(store)
        assert await store.catalogue.leases() == []
        rows = {each.name: each.size for each in await store.catalogue.walk(None, 100_000)}
        assert dict(entry for entry in store.backend.list() if isinstance(entry, tuple)) == rows
        for process, lease, _ in list(store.staging.files()):
            assert process in dead
            store.staging.remove(process, lease)
        store.staging.bury(dead[0])
        assert store.staging.dead() == []
        await store.close()
