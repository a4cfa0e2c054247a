"""The record engines keep the contract of `records.engine`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobstore.postgres import Database
from records.centrals.memory import MemoryCentral
from records.engines.memory import MemoryEngines
from records.engines.postgres import PostgresEngines
from records.engines.sharded import PerConnectorEngines
from records.engines.sqlite import SingleFileEngines
from tests.conformance.engine_suite import EngineSuite
from tests.conformance.engine_values import Clock
from tests.fakes.emptied import Emptied, engine_tables


class KnowsEverybody(MemoryCentral):
    """Owners have the ids that the suite gives them."""

    def _require_owner(self, owner: str) -> None:
        pass


class TestMemoryEngine(EngineSuite):
    @pytest.fixture
    def engines(self, clock: Clock) -> MemoryEngines:
        return MemoryEngines(clock)


class TestPerConnectorEngine(EngineSuite):
    @pytest.fixture
    async def engines(self, tmp_path: Path, clock: Clock) -> AsyncIterator[PerConnectorEngines]:
        engines = PerConnectorEngines(tmp_path / "records", KnowsEverybody(), None, clock)
        yield engines
        await engines.close()


class TestSqliteEngine(EngineSuite):
    @pytest.fixture
    async def engines(self, tmp_path: Path, clock: Clock) -> AsyncIterator[SingleFileEngines]:
        engines = SingleFileEngines(tmp_path / "records", clock)
        yield engines
        await engines.close()


class TestPostgresEngine(EngineSuite):
    @pytest.fixture
    async def engines(self, emptied: Emptied, clock: Clock) -> AsyncIterator[PostgresEngines]:
        async with emptied.lent(engine_tables) as url:
            database = await Database.open(url)
            engines = await PostgresEngines.open(database, clock)
            yield engines
            await engines.close()
            await database.close()
