"""Blobs in a real S3 store keep the contract of `blobstore.backend`, and what S3 alone makes hard holds too."""

import os
from collections.abc import Iterator

import pytest

from blobstore.backends.s3 import S3Backend
from tests.conformance.backend_suite import BackendSuite, Stage, name_of, read_all
from tests.fakes.s3 import S3Server

MULTIPART = 40 << 20


class S3Suite(BackendSuite):
    outlives_removal = False

    def test_a_large_object_goes_and_comes_in_parts(self, backend: S3Backend, staged: Stage) -> None:
        data = os.urandom(MULTIPART)
        backend.publish(name_of(data), staged(data))
        assert read_all(backend, name_of(data)) == data
        reader = backend.open(name_of(data))
        assert b"".join(reader.read(at, 1 << 20) for at in range(0, len(data), 1 << 20)) == data
        reader.close()
        backend.remove([name_of(data)])
        assert list(backend.list()) == []


class TestPlainBucket(S3Suite):
    @pytest.fixture
    def backend(self, s3: S3Server) -> Iterator[S3Backend]:
        yield from _backend(s3, versioned=False, tls=False)


class TestVersionedBucketOverTls(S3Suite):
    @pytest.fixture
    def backend(self, s3: S3Server) -> Iterator[S3Backend]:
        yield from _backend(s3, versioned=True, tls=True)


def _backend(s3: S3Server, *, versioned: bool, tls: bool) -> Iterator[S3Backend]:
    backend = S3Backend.connect(s3.place(versioned=versioned), s3.access(tls=tls))
    yield backend
    backend.close()
