"""Blobs in a real S3 store keep the contract of `blobstore.backend`, and what S3 alone makes hard holds too."""

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest

from blobstore.backend import ObjectName
from blobstore.backends.s3 import S3Backend, abilities
from tests.conformance.backend_suite import BackendSuite, Stage, name_of, read_all
from tests.fakes.s3 import S3Server

MULTIPART = 40 << 20


class S3Suite(BackendSuite):
    outlives_removal = False

    @pytest.fixture
    def backend(self, connected: S3Backend) -> Iterator[S3Backend]:
        """The same connection for all tests of a class; each finds it empty."""
        yield connected
        place = connected._place
        found = connected._bucket.client.list_object_versions(Bucket=place.bucket, Prefix=place.prefix)
        rows = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        objects = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
        if objects:
            connected._bucket.client.delete_objects(Bucket=place.bucket, Delete={"Objects": objects})

    @pytest.fixture
    def closable(self, s3: S3Server) -> S3Backend:
        """A connection of its own."""
        return S3Backend.connect(s3.place(), s3.access())

    def test_a_large_object_goes_and_comes_in_parts(self, backend: S3Backend, staged: Stage) -> None:
        data = os.urandom(MULTIPART)
        backend.publish(name_of(data), staged(data))
        assert read_all(backend, name_of(data)) == data
        reader = backend.open(name_of(data))
        assert b"".join(reader.read(at, 1 << 20) for at in range(0, len(data), 1 << 20)) == data
        reader.close()
        backend.remove([name_of(data)])
        assert list(backend.list()) == []

    def test_what_was_begun_in_parts_is_listed_and_removed(self, backend: S3Backend, staged: Stage) -> None:
        name = name_of(b"never finished")
        key = backend._place.key_of(name)
        backend._bucket.client.create_multipart_upload(Bucket=backend._place.bucket, Key=key)
        assert list(backend.list()) == [(name, 0)]
        assert backend.left([name, name_of(b"another")]) == [name]
        backend.remove([name])
        assert list(backend.list()) == []

    def test_a_prefix_that_another_begins_with_has_nothing_of_it(self, backend: S3Backend, staged: Stage) -> None:
        place = backend._place
        keys = [f"{place.prefix.rstrip('/')}2/{place.key_of(name_of(b'x')).removeprefix(place.prefix)}"]
        backend._bucket.client.put_object(Bucket=place.bucket, Key=keys[0], Body=b"another's")
        backend.publish(name_of(b"x"), staged(b"x"))
        assert list(backend.list()) == [(name_of(b"x"), 1)]
        backend.remove([name_of(b"x")])
        assert backend._bucket.client.head_object(Bucket=place.bucket, Key=keys[0])["ContentLength"] == 9
        backend._bucket.client.delete_object(Bucket=place.bucket, Key=keys[0])


class TestPlainBucket(S3Suite):
    @pytest.fixture(scope="class")
    @classmethod
    def connected(cls, s3: S3Server) -> Iterator[S3Backend]:
        yield from _connected(s3, versioned=False, tls=False)

    def test_versions_switched_on_later_are_noticed_and_removed(self, s3: S3Server, staged: Stage) -> None:
        place = s3.place(bucket=s3.bucket())
        backend = S3Backend.connect(place, s3.access())
        backend.publish(name_of(b"before"), staged(b"before"))
        s3.keep_versions(place.bucket)
        backend.publish(name_of(b"after"), staged(b"after"))
        backend.remove([name_of(b"before"), name_of(b"after")])
        assert s3.versions(place.bucket) == []
        s3.keep_versions(place.bucket, status="Suspended")
        backend.publish(name_of(b"suspended"), staged(b"suspended"))
        backend.remove([name_of(b"suspended")])
        assert s3.versions(place.bucket) == []
        backend.close()


class TestVersionedBucketOverTls(S3Suite):
    @pytest.fixture(scope="class")
    @classmethod
    def connected(cls, s3: S3Server) -> Iterator[S3Backend]:
        yield from _connected(s3, versioned=True, tls=True)

    def test_an_old_version_is_listed_as_long_as_it_is_there(self, backend: S3Backend, staged: Stage) -> None:
        name = name_of(b"data")
        backend.publish(name, staged(b"data"))
        _deleted_by_hand(backend, name)
        assert backend.size(name) is None
        assert backend.left([name, name_of(b"another")]) == [name]
        assert [entry[0] for entry in backend.list() if isinstance(entry, tuple)] == [name]
        backend.remove([name])
        assert list(backend.list()) == []


@pytest.mark.parametrize("versioned", [False, True])
def test_a_self_test_removes_what_another_left_that_was_killed(
    s3: S3Server, versioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, client = s3.place(versioned=versioned), s3.client()
    left = [{"Bucket": place.bucket, "Key": f"{place.prefix}self-test/{name}"} for name in ("one", "two-parts")]
    client.put_object(**left[0], Body=b"first")
    client.put_object(**left[0], Body=b"second")
    if versioned:
        client.delete_object(**left[0])
    client.create_multipart_upload(**left[1])

    backend = S3Backend.connect(place, s3.access())
    assert backend._remover.left([each["Key"] for each in left]) == [each["Key"] for each in left]
    assert list(backend.list()) == []  # it may be of a self-test that goes on
    backend.close()

    monkeypatch.setattr(abilities, "LEFT_AFTER", timedelta(seconds=-60))  # more precise no store's times are
    backend = S3Backend.connect(place, s3.access())
    assert backend._remover.left([each["Key"] for each in left]) == []
    assert client.list_object_versions(Bucket=place.bucket, Prefix=place.prefix).get("Versions", []) == []
    backend.close()
    client.close()


def _deleted_by_hand(backend: S3Backend, name: ObjectName) -> None:
    backend._bucket.client.delete_object(Bucket=backend._place.bucket, Key=backend._place.key_of(name))


def _connected(s3: S3Server, *, versioned: bool, tls: bool) -> Iterator[S3Backend]:
    backend = S3Backend.connect(s3.place(versioned=versioned), s3.access(tls=tls))
    yield backend
    backend.close()
