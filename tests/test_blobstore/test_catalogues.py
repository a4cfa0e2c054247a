"""The catalogues in memory and in SQLite keep the contract of `blobstore.catalogue`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.catalogues.sqlite import SqliteCatalogue
from tests.conformance.catalogue_suite import CatalogueSuite
from tests.conformance.catalogue_values import NOW, OWNER, SLACK, digest_of, lease_of, upload


class TestMemoryCatalogue(CatalogueSuite):
    @pytest.fixture
    def catalogue(self) -> MemoryCatalogue:
        return MemoryCatalogue()


class TestSqliteCatalogue(CatalogueSuite):
    @pytest.fixture
    async def catalogue(self, tmp_path: Path) -> AsyncIterator[SqliteCatalogue]:
        catalogue = await SqliteCatalogue.open(tmp_path / "catalogue.db")
        yield catalogue
        await catalogue.close()

    async def test_everything_is_there_after_reopening(self, tmp_path: Path) -> None:
        first = await SqliteCatalogue.open(tmp_path / "other.db")
        store_id = await first.store_id()
        stored = await upload(first, b"data", 1)
        await first.hold(OWNER, SLACK, [digest_of(b"data")], NOW)
        await first.lease(lease_of(2))
        await first.close()
        second = await SqliteCatalogue.open(tmp_path / "other.db")
        assert await second.store_id() == store_id
        assert await second.find(OWNER, digest_of(b"data")) == stored
        assert len(await second.holders_of(OWNER, digest_of(b"data"))) == 1
        assert await second.leases() == [lease_of(2)]
        await second.close()

    async def test_two_that_are_open_at_once_see_the_same(self, tmp_path: Path) -> None:
        first = await SqliteCatalogue.open(tmp_path / "other.db")
        second = await SqliteCatalogue.open(tmp_path / "other.db")
        stored = await upload(first, b"data", 1)
        assert await upload(second, b"data", 2) == stored
        await first.close()
        await second.close()

    async def test_two_catalogues_have_two_store_ids(self, tmp_path: Path) -> None:
        first = await SqliteCatalogue.open(tmp_path / "first.db")
        second = await SqliteCatalogue.open(tmp_path / "second.db")
        assert await first.store_id() != await second.store_id()
        await first.close()
        await second.close()
