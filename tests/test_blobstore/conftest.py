"""A store to upload to: all in memory, or on the filesystem with its catalogue in SQLite; and a disk to cut off."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from blobstore.backends.memory import MemoryBackend
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.staging import Staging
from blobstore.store import BlobStore
from tests.fakes.power import Disk


@pytest.fixture(params=["memory", "filesystem"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    if request.param == "memory":
        store = BlobStore(MemoryBackend(), MemoryCatalogue(), Staging.open(tmp_path / "staging"))
    else:
        store = await BlobStore.open(tmp_path / "data")
    yield store
    await store.close()


@pytest.fixture
def disk(shared: Path, tmp_path: Path) -> Iterator[Disk]:
    tool = shared / "bin" / "powercut"
    if not tool.exists() or os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("powercut not present")
    disk = Disk(tool, tmp_path)
    yield disk
    disk.unmount()
