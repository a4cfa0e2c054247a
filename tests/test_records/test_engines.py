"""The record engines keep the contract of `records.engine`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from records.engines.memory import MemoryEngines
from records.engines.sqlite import SingleFileEngines
from tests.conformance.engine_suite import EngineSuite


class TestMemoryEngine(EngineSuite):
    @pytest.fixture
    def engines(self) -> MemoryEngines:
        return MemoryEngines()


class TestSqliteEngine(EngineSuite):
    @pytest.fixture
    async def engines(self, tmp_path: Path) -> AsyncIterator[SingleFileEngines]:
        engines = SingleFileEngines(tmp_path / "records")
        yield engines
        await engines.close()
