"""Thumbnails are kept while the blob is there, and gone with it."""

from pathlib import Path

import msgspec
import pytest

from blobstore.derived import Derived
from blobstore.errors import BlobNotFound
from records.central import Owner
from records.consent.scope import Scope, Selector
from records.layout import Topology
from records.store import RecordStore
from records.thumbnails.formats import THUMBNAIL
from tests.fakes.data_directory import CONNECTOR, MANIFEST, digest_of, ingest, upload
from tests.fakes.pictures import bomb, picture
from tests.fakes.topologies import Storage


@pytest.fixture
async def scope(store: RecordStore, ann: Owner) -> Scope:
    return Scope.of_owner(ann)


async def keep(store: RecordStore, ann: Owner, data: bytes, key: str = "1") -> str:
    blob = await upload(store, ann, data, key)
    await ingest(store, ann, key, [blob])
    return blob


async def kept(store: RecordStore, ann: Owner, data: bytes) -> Derived | None:
    return await store.blobs.catalogue.derived(ann.id, digest_of(data), THUMBNAIL)


async def test_it_is_made_once_and_goes_with_the_erasure_without_a_trace(
    store: RecordStore, ann: Owner, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = picture()
    blob = await keep(store, ann, data)
    made = await store.thumbnails.of(scope, blob)
    with monkeypatch.context() as patched:
        patched.setattr(store.thumbnails, "_painter", None)  # whoever asked it would fail
        assert await store.thumbnails.of(scope, blob) == made
    derived = await kept(store, ann, data)
    assert made is not None
    assert derived is not None
    assert derived.data() == made
    files = [path for path in store.directory.rglob("*") if path.is_file()]
    assert any(derived.key in path.read_bytes() for path in files)
    assert not any(made[40:80] in path.read_bytes() for path in files)

    covered = await store.erasures.coverage.of_connector(ann, CONNECTOR)
    report = (await store.erasures.erase(ann, covered, wait=5)).report

    assert report.state == "done"
    assert report.residue is not None
    assert report.residue.result == "clean"
    assert await kept(store, ann, data) is None
    found = [path.name for path in store.directory.rglob("*") if path.is_file() and derived.key in path.read_bytes()]
    assert found == []
    with pytest.raises(BlobNotFound):
        await store.thumbnails.of(scope, blob)


async def test_where_none_can_be_made_that_is_kept_too(
    store: RecordStore, ann: Owner, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bomb()
    blob = await keep(store, ann, data)
    text = await keep(store, ann, b"a letter", "2")
    assert await store.thumbnails.of(scope, blob) is None
    monkeypatch.setattr(store.thumbnails, "_painter", None)
    assert await store.thumbnails.of(scope, blob) is None
    assert await store.thumbnails.of(scope, text) is None
    assert await kept(store, ann, b"a letter") is None


async def test_nobody_gets_one_of_what_they_cannot_see(store: RecordStore, ann: Owner) -> None:
    blob = await keep(store, ann, picture())
    bob = Scope.of_owner(await store.access.owner("bob"))
    for each in (blob, "blob_b3_" + "0" * 64, "nothing"):
        with pytest.raises(BlobNotFound):
            await store.thumbnails.of(bob, each)


async def test_one_that_is_damaged_is_made_again(store: RecordStore, ann: Owner, scope: Scope) -> None:
    data = picture()
    blob = await keep(store, ann, data)
    made = await store.thumbnails.of(scope, blob)
    harmed = Derived(THUMBNAIL, bytes(32), b"not what was sealed")
    await store.blobs.catalogue.keep_derived(ann.id, digest_of(data), harmed)
    assert await store.thumbnails.of(scope, blob) == made


@pytest.mark.parametrize("storage", [Topology.POSTGRES], indirect=True)
async def test_an_erasure_takes_it_along_where_things_are_in_a_database(storage: Storage, tmp_path: Path) -> None:
    store = await storage.open(tmp_path / "data")
    try:
        ann = await store.access.owner("ann")
        await store.registry.register(ann, msgspec.json.encode(MANIFEST))
        going, staying = picture(), picture("JPEG")
        await keep(store, ann, going, "1")
        await keep(store, ann, staying, "2")
        for data in (going, staying):
            assert await store.thumbnails.of(Scope.of_owner(ann), str(digest_of(data))) is not None
        covered = await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "documents", "1")
        report = (await store.erasures.erase(ann, covered, wait=20)).report
        assert report.state == "done"
        assert report.residue is not None
        assert report.residue.result == "clean"
        assert await kept(store, ann, going) is None
        assert await kept(store, ann, staying) is not None
    finally:
        await store.close()
