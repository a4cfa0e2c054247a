"""A store to upload to: all in memory, or on the filesystem with its catalogue in SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobstore.backends.memory import MemoryBackend
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.staging import Staging
from blobstore.store import BlobStore


@pytest.fixture(params=["memory", "filesystem"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    if request.param == "memory":
        store = BlobStore(MemoryBackend(), MemoryCatalogue(), Staging.open(tmp_path / "staging"))
    else:
        store = await BlobStore.open(tmp_path / "data")
    yield store
    await store.close()
