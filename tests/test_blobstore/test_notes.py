"""Small objects beside the blobs keep the contract of `blobstore.notes`."""

from collections.abc import Iterator

import pytest

from blobstore.backends.memory import MemoryNotes
from blobstore.backends.s3 import S3Backend
from blobstore.notes import Notes
from tests.conformance.notes_suite import NotesSuite
from tests.fakes.s3 import S3Server


class TestMemory(NotesSuite):
    @pytest.fixture
    def notes(self) -> Notes:
        return MemoryNotes()


class TestS3(NotesSuite):
    @pytest.fixture
    def backend(self, s3: S3Server) -> Iterator[S3Backend]:
        backend = S3Backend.connect(s3.place(), s3.access())
        yield backend
        backend.close()

    @pytest.fixture
    def notes(self, backend: S3Backend) -> Notes:
        (notes,) = backend.notes()
        assert notes is not None
        return notes

    def test_they_are_no_blobs(self, backend: S3Backend, notes: Notes) -> None:
        notes.create("ledger/0000000001", b"line")
        notes.create("ledger-bundles/0000000100", b"lines")
        assert list(backend.list()) == []
