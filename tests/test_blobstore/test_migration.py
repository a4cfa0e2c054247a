"""Blobs move from one place to another while others upload, read, erase and collect."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blobstore import migration
from blobstore.backends.where import IN_FILES, Where
from blobstore.errors import StorageUnavailable, WrongStore
from blobstore.migration import Migration, Moved, take_in
from blobstore.place import Place
from blobstore.store import BlobStore, Slot
from tests.conformance.catalogue_values import content_of
from tests.fakes.s3 import S3Server
from tests.fakes.stores import OWNER, collect, put, read_all

BODIES = [b"%d" % number * 1000 for number in range(20)]


@pytest.fixture
def where(s3: S3Server) -> Where:
    return s3.where()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BlobStore]:
    """In files, with some blobs."""
    store = await BlobStore.open(tmp_path)
    for number, body in enumerate(BODIES):
        await put(store, body, Slot("holder", "scope", f"slot {number}", "text/plain"))
    yield store
    await store.close()


async def migrate(store: BlobStore, place: Place, keep: float = 0.0) -> Moved:
    return await Migration(store, place, rate=math.inf, keep=keep).run()


async def release(store: BlobStore, bodies: list[bytes], reason: str) -> None:
    """What an erasure asks of the catalogue."""
    await store.catalogue.drop_claims(OWNER, "holder", scope=None, now=0.0)
    await store.catalogue.condemn(OWNER, [content_of(body).digest for body in bodies], reason)
    await collect(store)


def objects(store: BlobStore) -> set[str]:
    return {entry[0].digest.hex for entry in store.backend.list() if isinstance(entry, tuple)}


async def test_everything_is_read_from_the_new_place(store: BlobStore, where: Where, tmp_path: Path) -> None:
    place = await take_in(store, tmp_path, where)
    moved = await migrate(store, place)
    assert (moved.blobs, moved.bytes, moved.gone, moved.bad, moved.left) == (20, sum(map(len, BODIES)), 0, [], 0)
    await store.catalogue.expire(1e18, [])
    await collect(store)
    assert not any(path.is_file() for path in (tmp_path / "blobs").rglob("*"))
    for body in BODIES:
        assert await read_all(store, content_of(body).digest) == body
    assert list(store.staging.files()) == []


async def test_a_store_that_is_open_elsewhere_follows_without_being_told(
    store: BlobStore, where: Where, tmp_path: Path
) -> None:
    other = await BlobStore.open(tmp_path)
    place = await take_in(store, tmp_path, where)
    assert (await put(other, b"new", Slot("holder", "scope", "new", "text/plain"))).name.place == place.id
    await migrate(store, place)
    for body in (*BODIES, b"new"):
        assert await read_all(other, content_of(body).digest) == body
    await other.require_own()
    await other.close()


async def test_what_is_left_of_removed_blobs_is_found_wherever_it_is(
    store: BlobStore, where: Where, tmp_path: Path
) -> None:
    await migrate(store, await take_in(store, tmp_path, where))
    await store.catalogue.expire(1e18, [])
    await collect(store)
    digest = content_of(BODIES[0]).digest
    await store.catalogue.condemn(OWNER, [digest], "erasure")
    there = [each.name for each in await store.catalogue.generations(OWNER, digest)]
    await store.catalogue.buried(there, 0.0)
    (gone,) = await store.catalogue.removed(OWNER, "erasure", None, 10)
    assert await store.left([gone.name]) == there
    await store.catalogue.leave_places(1e18)
    other = await BlobStore.open(tmp_path, where=where)
    assert await other.left([gone.name]) == there
    store.backend.remove(there)
    assert await other.left([gone.name]) == await store.left([gone.name]) == []
    await other.close()


async def test_a_download_that_began_goes_on_while_the_copy_is_kept(
    store: BlobStore, where: Where, tmp_path: Path
) -> None:
    async with await store.open_blob(OWNER, content_of(BODIES[0]).digest) as blob:
        assert await blob.read(0, 10) == BODIES[0][:10]
        await migrate(store, await take_in(store, tmp_path, where), keep=3600)
        await store.catalogue.expire(0.0, [])
        await collect(store)
        assert await blob.read(10, 990) == BODIES[0][10:]


@pytest.mark.parametrize("step", ["copy", "read back", "moved"])
async def test_an_erasure_in_the_middle_of_a_move_leaves_no_bytes_in_either_place(
    store: BlobStore, where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    place = await take_in(store, tmp_path, where)
    erasing = asyncio.Lock()

    async def around(call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        answer = await call(*arguments) if step == "copy" else None
        async with erasing:  # at that moment of the first of them, all others on their way
            if await store.catalogue.elsewhere(place.id, None, 1):
                await release(store, BODIES, "erasure 1")
                assert objects(store) == set()
        return answer if step == "copy" else await call(*arguments)

    where_it_is, name = (migration, "rehash") if step == "read back" else (store.catalogue, step)
    original = getattr(where_it_is, name)
    monkeypatch.setattr(where_it_is, name, lambda *arguments: around(original, *arguments))
    moved = await migrate(store, place)
    assert (moved.blobs, moved.bad, moved.left) == (0, [], 0)
    assert objects(store) == set()
    assert list(store.staging.files()) == []
    assert await store.catalogue.walk(None, 10) == []
    assert await store.catalogue.leases() == []


async def test_collections_at_any_moment_remove_nothing_that_lives(
    store: BlobStore, where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("copy", "moved"):
        original = getattr(store.catalogue, step)

        async def around(*arguments: Any, call: Any = original) -> Any:
            await store.catalogue.expire(0.0, [])
            await collect(store)
            answer = await call(*arguments)
            await store.catalogue.expire(1e9, [])
            await collect(store)
            return answer

        monkeypatch.setattr(store.catalogue, step, around)
    moved = await migrate(store, await take_in(store, tmp_path, where))
    assert (moved.blobs, moved.left) == (20, 0)
    for body in BODIES:
        assert await read_all(store, content_of(body).digest) == body


async def test_two_migrations_at_once_do_no_harm(store: BlobStore, where: Where, tmp_path: Path) -> None:
    place = await take_in(store, tmp_path, where)
    both = await asyncio.gather(migrate(store, place), migrate(store, place))
    assert sum(each.blobs for each in both) == 20
    await store.catalogue.expire(1e18, [])
    await collect(store)
    assert len(list(store.backend.list())) == 20
    for body in BODIES:
        assert await read_all(store, content_of(body).digest) == body


async def test_of_two_that_go_to_different_places_the_first_ends(
    store: BlobStore, where: Where, tmp_path: Path
) -> None:
    place = await take_in(store, tmp_path, where)
    await take_in(store, tmp_path, IN_FILES)
    with pytest.raises(StorageUnavailable, match="yet another place"):
        await migrate(store, place)


async def test_a_place_inside_or_around_one_that_the_store_uses_is_refused(
    store: BlobStore, where: Where, tmp_path: Path
) -> None:
    inner = replace(where, location=f"{where.location}/self-test")
    beside = replace(where, location=f"{where.location}-2")
    await take_in(store, tmp_path, inner)
    with pytest.raises(WrongStore, match="one inside the other"):
        await take_in(store, tmp_path, where)
    await take_in(store, tmp_path, beside)
    with pytest.raises(WrongStore, match="one inside the other"):
        await take_in(store, tmp_path, replace(where, location=f"{beside.location}/a/b"))
    await take_in(store, tmp_path, inner)
    assert [place.location for place in await store.catalogue.places() if place.intake] == [inner.location]


async def test_a_place_that_gives_other_bytes_back_is_not_moved_to(
    store: BlobStore, where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await take_in(store, tmp_path, where)
    publish = store.backend.publish

    def spoil(name: Any, staged: Path) -> None:
        staged.chmod(0o600)
        staged.write_bytes(b"x" * staged.stat().st_size)
        publish(name, staged)

    monkeypatch.setattr(store.backend, "publish", spoil)
    with pytest.raises(StorageUnavailable, match="does not give back"):
        await migrate(store, place)
    assert len(await store.catalogue.elsewhere(place.id, None, 100)) == 20
    for body in BODIES:
        assert await read_all(store, content_of(body).digest) == body


async def test_a_place_that_belongs_to_another_store_by_now_is_not_read(
    store: BlobStore, where: Where, tmp_path: Path, s3: S3Server
) -> None:
    other = await BlobStore.open(tmp_path)
    await migrate(store, await take_in(store, tmp_path, where))
    s3.drop(where, "store-id")
    with pytest.raises(WrongStore, match="another store"):
        await read_all(other, content_of(BODIES[0]).digest)
    with pytest.raises(WrongStore):
        await store.require_own()
    await other.close()
