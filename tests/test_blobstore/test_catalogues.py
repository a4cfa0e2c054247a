"""The catalogues in memory, in SQLite and in PostgreSQL keep the contract of `blobstore.catalogue`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.catalogues.postgres import PostgresCatalogue
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.postgres import Database
from blobstore.sqlite import sqlite3
from tests.conformance.catalogue_suite import CatalogueSuite
from tests.conformance.catalogue_values import NOW, OWNER, SLACK, digest_of, lease_of, orphan, upload
from tests.fakes.emptied import Emptied, catalogue_tables


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


class TestPostgresCatalogue(CatalogueSuite):
    @pytest.fixture
    async def catalogue(self, emptied: Emptied) -> AsyncIterator[PostgresCatalogue]:
        async with emptied.lent(catalogue_tables) as url:
            database = await Database.open(url)
            yield await PostgresCatalogue.open(database)
            await database.close()


async def test_marks_that_somebody_else_broke_are_set_right(tmp_path: Path) -> None:
    catalogue = await SqliteCatalogue.open(tmp_path / "catalogue.db")
    await upload(catalogue, b"used", 1)
    await orphan(catalogue, b"loose", 2)
    vandal = sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)
    vandal.execute("UPDATE blobs SET orphaned_at = iif(orphaned_at IS NULL, 1, NULL)")
    vandal.close()
    await catalogue.remark(OWNER, [digest_of(b"used"), digest_of(b"loose")], NOW + 9)
    marks = {each.stored.name.digest: each.orphaned_at for each in await catalogue.survey(None, 10)}
    assert marks == {digest_of(b"used"): None, digest_of(b"loose"): NOW + 9}
    await catalogue.close()
