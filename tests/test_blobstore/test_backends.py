"""The memory and filesystem backends keep the contract of `blobstore.backend`."""

from pathlib import Path

import pytest

from blobstore.backends.filesystem import FilesystemBackend
from blobstore.backends.memory import MemoryBackend
from tests.conformance.backend_suite import BackendSuite


class TestMemoryBackend(BackendSuite):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()


class TestFilesystemBackend(BackendSuite):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> FilesystemBackend:
        return FilesystemBackend(tmp_path / "blobs")
