"""Snapshots of a store that goes on being written to, and directories made of them."""

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from blobstore.catalogue import Catalogue
from blobstore.errors import LeaseLost, StorageUnavailable
from records.central import Owner
from records.checks.accounts import accounts
from records.consent.scope import Scope, Selector
from records.erasure.ledger import NAME
from records.errors import Conflict, CursorExpired, Unknown
from records.locks import ERASURE, taken
from records.model import Partition
from records.reading.query import Listing
from records.snapshots import restore as restoring
from records.snapshots.backup import _Backup, back_up
from records.snapshots.restore import restore
from records.snapshots.settling import Restored, settle
from records.store import RecordStore
from records.writing.attachments import Target
from tests.fakes.data_directory import CONNECTOR, MANIFEST, delete, digest_of, ingest, upload
from tests.fakes.topologies import DURABLE, Storage, one_of, stored_in

Places = Callable[[], Storage]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test in each topology; of a busy store in one, where sizes are not full."""
    busy = "sized" in metafunc.fixturenames
    metafunc.parametrize("storage", one_of(DURABLE, "snapshots") if busy else DURABLE, ids=str, indirect=True)


@pytest.fixture
def places(storage: Storage, request: pytest.FixtureRequest) -> Iterator[Places]:
    """Makes further places to store in, of the same topology."""
    with ExitStack() as ending:
        yield lambda: ending.enter_context(stored_in(storage.topology, request))


@asynccontextmanager
async def opened(data: Path, storage: Storage) -> AsyncIterator[RecordStore]:
    store = await RecordStore.open(data, topology=storage.topology, database_url=storage.database_url)
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


KEPT = "kept"
"""A connector that is never erased."""


class Busy:
    """Uploads, ingests, deletions, erasures and collections without grace, all the time."""

    def __init__(self, data: Path, storage: Storage, rng: random.Random) -> None:
        self._data = data
        self._storage = storage
        self._rng = rng
        self.written = asyncio.Event()
        self.erased = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with opened(self._data, self._storage) as store, opened(self._data, self._storage) as other:
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
            await asyncio.sleep(0)  # what is refused by an answer that is remembered has let nobody else in
            key = f"{number}-{self._rng.randrange(20)}"
            with suppress(Conflict, Unknown, LeaseLost, AssertionError):  # an erasure came in between
                blobs = [await upload(store, owner, self._content(), key, stream) for _ in range(2)]
                await ingest(store, owner, key, blobs, stream)
                self.written.set()
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
                        owner,
                        await store.erasures.coverage.of_records(owner, Selector(CONNECTOR), "documents", key),
                        wait=0.1,
                    )
                else:
                    await store.erasures.erase(
                        owner, await store.erasures.coverage.of_connector(owner, CONNECTOR), wait=0.1
                    )
                self.erased.set()
            await owner_of(store, "ann")

    async def _collect(self, store: RecordStore) -> None:
        while True:
            await store.collect(0.0)
            await asyncio.sleep(0.01)


@pytest.mark.long
async def test_every_snapshot_of_a_busy_store_has_all_bytes_of_its_records(
    tmp_path: Path, storage: Storage, places: Places, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    busy, links = Busy(data, storage, rng), 0
    async with busy.running(), opened(data, storage) as store:
        ann = await owner_of(store, "ann")
        await store.registry.register(ann, json.dumps({**MANIFEST, "connector_id": KEPT}).encode())
        for number in range(1, sized(3, 200) + 1):
            # A restore takes what was erased after the snapshot, and that is often all that might be erased.
            kept = await upload(store, ann, b"kept %d" % number, f"{number}", connector=KEPT)
            await ingest(store, ann, f"{number}", [kept], connector=KEPT)
            await busy.written.wait()
            await busy.erased.wait()
            await asyncio.sleep(rng.random() / 5)
            made = await back_up(store, out, keep=2)
            assert (made.manifest.snapshot, made.manifest.missing) == (number, 0)
            shutil.rmtree(tmp_path / "new", ignore_errors=True)
            new = places()
            restored = await restore(out, tmp_path / "new", ledger=data / NAME, database_url=new.database_url)
            assert restored.manifest == made.manifest
            async with opened(tmp_path / "new", new) as again:
                found = await require_whole(again)
                assert found >= number
                links += found
    print(f"{links} links in snapshots")


# -- versions and tokens -----------------------------------------------------------------------------------------------


async def token_of(store: RecordStore, owner: Owner, stream: str = "documents") -> str:
    """A change token: all that is there now is known."""
    page = await store.reads.page(Scope.of_owner(owner), stream, Selector(CONNECTOR), Listing(100))
    assert page.next_changes_since is not None
    return page.next_changes_since


async def told(store: RecordStore, owner: Owner, token: str, stream: str = "documents") -> list[str]:
    listing = Listing(100, changes_since=token)
    page = await store.reads.page(Scope.of_owner(owner), stream, Selector(CONNECTOR), listing)
    return [each.key for each in page.records]


async def versions(store: RecordStore, owner: Owner) -> dict[Partition, int]:
    stats = await (await store.engines.of(owner.id)).stats()
    return {place: of.version for place, of in stats.items()}


async def test_change_tokens_from_before_a_restore_are_too_old_and_versions_never_run_backwards(
    tmp_path: Path,
    storage: Storage,
    places: Places,
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    async with opened(data, storage) as store:
        ann = await owner_of(store, "ann")
        await ingest(store, ann, "1", [])
        tokens = {"documents": [await token_of(store, ann)], "photos": []}
        await back_up(store, out)
        for number in range(2, 6):
            await ingest(store, ann, str(number), [])
            tokens["documents"].append(await token_of(store, ann))
        await ingest(store, ann, "1", [], "photos")
        tokens["photos"].append(await token_of(store, ann, "photos"))
        before = await versions(store, ann)
    new = places()
    await restore(out, tmp_path / "new", ledger=data / NAME, database_url=new.database_url)
    async with opened(tmp_path / "new", new) as store:
        # Other changes than those that the tokens know of, and as many: each version would come a second time.
        for number in range(10, 20):
            await ingest(store, ann, str(number), [])
            await ingest(store, ann, str(number), [], "photos")
        after = await versions(store, ann)
        assert all(after[place] > version for place, version in before.items())
        for stream, known in tokens.items():
            for token in known:
                with pytest.raises(CursorExpired):
                    await told(store, ann, token, stream)
        fresh = await token_of(store, ann)
        await ingest(store, ann, "99", [])
        assert await told(store, ann, fresh) == ["99"]


async def test_claims_outlive_a_restore_and_uploads_and_locks_of_the_old_store_do_not(
    tmp_path: Path, storage: Storage, places: Places
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    async with opened(data, storage) as store:
        ann = await owner_of(store, "ann")
        blob = await upload(store, ann, b"its record comes later", "1")
        receiving = await store.attachments.receive(ann, Target(Selector(CONNECTOR), "documents", "2", "text/plain"))
        async with receiving as incoming, taken(store.locks, f"{ERASURE}under-way"):
            await incoming.write(b"half of")
            await back_up(store, out)
    new = places()
    await restore(out, tmp_path / "new", ledger=data / NAME, database_url=new.database_url)
    async with opened(tmp_path / "new", new) as store:
        assert await store.blobs.catalogue.leases() == []
        assert await store.blobs.catalogue.pins() == []
        assert await store.locks.held(ERASURE) == {}
        await ingest(store, ann, "1", [blob])
        await store.collect(0)
        assert await require_whole(store) == 1


async def test_a_restore_that_was_cut_off_is_begun_again_and_nobody_opens_it_before(
    tmp_path: Path, storage: Storage, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    async with opened(data, storage) as store:
        ann = await owner_of(store, "ann")
        await ingest(store, ann, "1", [await upload(store, ann, b"letter", "1")])
        await back_up(store, out)
    new = places()

    async def cut_off(*of: Any) -> Restored:
        await settle(*of)
        raise RuntimeError("cut off")

    monkeypatch.setattr(restoring, "settle", cut_off)
    with pytest.raises(RuntimeError, match="cut off"):
        await restore(out, tmp_path / "new", ledger=data / NAME, database_url=new.database_url)
    monkeypatch.undo()
    for place in (tmp_path / "new", *([tmp_path / "other"] if new.database_url else [])):
        with pytest.raises(StorageUnavailable, match="being restored"):
            async with opened(place, new):
                pass
    await restore(out, tmp_path / "new", ledger=data / NAME, database_url=new.database_url)
    async with opened(tmp_path / "new", new) as store:
        assert await require_whole(store) == 1
        heads = await store.central.spine((await store.access.owner("ann")).id, 0, 1000)
        assert [b'"kind":"restore"' in event.body for event in heads].count(True) == 1


# -- between a moment and its bytes ------------------------------------------------------------------------------------


class Interrupted:
    """Something happens after the moment of each snapshot, before any bytes are copied."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, event: Callable[[], Awaitable[object]]) -> None:
        self.moments = 0
        original = _Backup._copy_blobs

        async def copy_blobs(backup: _Backup, catalogue: Catalogue, folder: Path) -> None:
            self.moments += 1
            await event()
            await original(backup, catalogue, folder)

        async def nothing_yet(_: _Backup) -> None:
            pass

        monkeypatch.setattr(_Backup, "_copy_blobs", copy_blobs)
        monkeypatch.setattr(_Backup, "_copy_ahead", nothing_yet)


async def test_a_moment_whose_bytes_were_erased_is_given_up_for_another(
    tmp_path: Path, storage: Storage, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "data", storage) as store:
        ann = await owner_of(store, "ann")
        for key in ("1", "2"):
            await ingest(store, ann, key, [await upload(store, ann, b"of " + key.encode(), key)])

        async def erase() -> None:
            covered = await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "documents", "1")
            await store.erasures.erase(ann, covered, wait=0.0)

        interrupted = Interrupted(monkeypatch, erase)
        made = await back_up(store, tmp_path / "out")
    assert interrupted.moments == 2
    assert (made.manifest.blobs, made.manifest.missing) == (1, 0)
    new = places()
    await restore(tmp_path / "out", tmp_path / "new", ledger=tmp_path / "data" / NAME, database_url=new.database_url)
    async with opened(tmp_path / "new", new) as store:
        assert await require_whole(store) == 1


async def test_a_collection_leaves_the_bytes_of_the_moment(
    tmp_path: Path, storage: Storage, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "data", storage) as store:
        ann = await owner_of(store, "ann")
        await ingest(store, ann, "1", [await upload(store, ann, b"deleted meanwhile", "1")])

        async def collect() -> None:
            await delete(store, ann, "1")
            assert (await store.collect(0)).blobs == 0

        interrupted = Interrupted(monkeypatch, collect)
        made = await back_up(store, tmp_path / "out")
        assert (await store.collect(0)).blobs == 1
    assert interrupted.moments == 1
    assert (made.manifest.blobs, made.manifest.missing) == (1, 0)
    new = places()
    await restore(tmp_path / "out", tmp_path / "new", ledger=tmp_path / "data" / NAME, database_url=new.database_url)
    async with opened(tmp_path / "new", new) as store:
        assert await require_whole(store) == 1
