"""A store and an owner in it, for tests of what goes on between records and blobs."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from records.central import Owner
from records.store import RecordStore
from tests.fakes.data_directory import MANIFEST


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RecordStore]:
    store = await RecordStore.open(tmp_path / "data")
    yield store
    await store.close()


@pytest.fixture
async def ann(store: RecordStore) -> Owner:
    owner = await store.access.owner("ann")
    await store.registry.register(owner, msgspec.json.encode(MANIFEST))
    return owner
