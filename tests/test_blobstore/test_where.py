"""Where bytes live is one value; a store in S3 is opened from it, and is bound to its bucket."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from blobstore.backends.where import IN_FILES, Where
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.errors import StorageUnavailable, WrongStore
from blobstore.place import Place
from blobstore.store import BlobStore
from tests.fakes.s3 import S3Server
from tests.fakes.stores import content_of, put, read_all

KMS = {"ServerSideEncryption": "aws:kms"}


@pytest.mark.parametrize(
    ("encryption", "headers"),
    [
        (None, {}),
        ("none", {}),
        ("AES256", {"ServerSideEncryption": "AES256"}),
        ("aws:kms", KMS),
        ("aws:kms:arn:aws:kms:eu-1:1:key/2", KMS | {"SSEKMSKeyId": "arn:aws:kms:eu-1:1:key/2"}),
    ],
)
def test_encryption_goes_with_each_new_object(encryption: str | None, headers: dict[str, str]) -> None:
    assert Where.parse("s3://bucket/prefix", encryption=encryption).headers == headers


@pytest.mark.parametrize(
    "told",
    [
        ("files",),
        ("s3://b",),
        ("s3://bucket/a//b",),
        ("s3://bucket", "localhost:8333"),
        ("s3://bucket", "https://user:word@host"),
        ("s3://bucket", None, None, None, "rot13"),
    ],
)
def test_what_is_no_place_is_refused(told: tuple[str | None, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Where.parse(*told)  # type: ignore[arg-type]  # as a user may tell it


def test_a_place_has_one_way_to_be_written() -> None:
    assert Where.parse("s3://bucket/prefix/").location == "s3://bucket/prefix"
    assert Where.parse("file") == IN_FILES


@pytest.fixture
def where(s3: S3Server) -> Where:
    return s3.where()


async def test_blobs_are_kept_in_s3_and_nothing_of_them_in_the_directory(tmp_path: Path, where: Where) -> None:
    store = await BlobStore.open(tmp_path, where=where)
    await put(store, b"data")
    await store.close()
    store = await BlobStore.open(tmp_path, where=where)
    assert await read_all(store, content_of(b"data").digest) == b"data"
    await store.close()
    assert not (tmp_path / "blobs").exists()


async def test_the_bucket_of_another_store_is_refused(tmp_path: Path, where: Where) -> None:
    await (await BlobStore.open(tmp_path / "one", where=where)).close()
    with pytest.raises(WrongStore, match="another store's"):
        await BlobStore.open(tmp_path / "two", where=where)
    await (await BlobStore.open(tmp_path / "one", where=where)).close()


async def test_a_bucket_that_never_heard_of_the_store_is_refused_once_it_has_blobs(
    tmp_path: Path, where: Where, s3: S3Server
) -> None:
    store = await BlobStore.open(tmp_path, where=where)
    await put(store, b"data")
    await store.close()
    with pytest.raises(WrongStore, match=f"the blobs are in {where.location}"):
        await BlobStore.open(tmp_path, where=s3.where())
    s3.drop(where, "store-id")
    with pytest.raises(WrongStore, match="the right bucket"):
        await BlobStore.open(tmp_path, where=where)


async def test_a_bucket_that_is_not_the_stores_any_more_is_told_of_before_anything_is_removed(
    tmp_path: Path, where: Where, s3: S3Server
) -> None:
    store = await BlobStore.open(tmp_path, where=where)
    await put(store, b"data")
    s3.drop(where, "store-id")
    with pytest.raises(WrongStore, match="store-id is gone"):
        await store.require_own()
    store.backend.bind(await store.catalogue.store_id())
    await store.require_own()
    for name, _ in list(store.backend.list()):  # type: ignore[misc]  # none is foreign
        store.backend.remove([name])
    with pytest.raises(WrongStore, match="blobs are gone"):
        await store.require_own()
    await store.close()


async def test_of_two_that_begin_at_once_with_different_places_one_is_told_where_the_blobs_are(tmp_path: Path) -> None:
    class Raced(MemoryCatalogue):
        """Another process is first, a moment after this one asked."""

        async def first_place(self, location: str, options: Mapping[str, str]) -> list[Place]:
            await super().first_place("s3://bucket/first", {})
            return await super().first_place(location, options)

    catalogue = Raced()
    with pytest.raises(WrongStore, match="in s3://bucket/first, not in file"):
        await BlobStore.open(tmp_path, catalogue=catalogue)


async def test_a_bucket_that_is_not_there_is_told_of(tmp_path: Path, where: Where) -> None:
    gone = Where("s3://no-such-bucket", where.endpoint, where.region, where.ca_bundle)
    with pytest.raises(StorageUnavailable, match="no such bucket"):
        await BlobStore.open(tmp_path, where=gone)
