"""Locks keep the contract of `records.locks` on one machine and among several, and die with their holder."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from blobstore.errors import StorageUnavailable
from blobstore.postgres import Database
from records.centrals.postgres import PostgresCentral
from records.centre import Centre
from records.layout import Topology
from records.locking import shared
from records.locking.files import FileLocks
from records.locking.postgres import PostgresRows
from records.locking.rows import MemoryRows, Row, Rows
from records.locking.shared import SharedLocks
from records.locks import Locks, taken
from tests.conformance.locks_suite import LONG, LocksSuite, RowsSuite, row, take
from tests.fakes.postgres import Cluster
from tests.fakes.postgres_proxy import Proxy


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[PostgresRows]:
    database = await Database.open(database_url)
    await PostgresCentral.open(database)
    yield PostgresRows(database, database)
    await database.close()


class TestMemoryRows(RowsSuite):
    @pytest.fixture
    def rows(self) -> MemoryRows:
        return MemoryRows()


class TestPostgresRows(RowsSuite):
    """With the fixture `rows` of this module."""

    async def test_nobody_waits_for_a_process_that_gets_no_further(
        self, rows: PostgresRows, database_url: str, postgres: Cluster, tmp_path: Path
    ) -> None:
        await rows.take(row("n", "a"), LONG)
        async with Proxy(postgres.folder, tmp_path, ["stall"] * 9, word=b"COMMIT\0") as proxy:
            stalled = await Database.open(database_url.replace(str(postgres.folder), str(tmp_path)))
            looking = asyncio.create_task(PostgresRows(stalled, stalled).take(row("n", "b"), LONG))
            async with asyncio.timeout(20):
                while not looking.done() and len(proxy.cuts) == 9:
                    await asyncio.sleep(0.01)
                assert await rows.renew(["a1"], LONG) == {"a1"}
            looking.cancel()
            await asyncio.wait([looking])
            await stalled.close()


async def test_renewals_do_not_wait_until_all_others_are_served(database_url: str, tmp_path: Path) -> None:
    centre = Centre(tmp_path, Topology.POSTGRES, database_url)
    await centre.central()
    rows, database = centre.rows, await centre.database()
    assert rows is not None
    await rows.take(row("n", "a"), LONG)
    async with AsyncExitStack() as busy, asyncio.timeout(20):
        for _ in range(database._pool._pool.get_max_size()):
            await busy.enter_async_context(database._pool.connection())
        assert await rows.renew(["a1"], LONG) == {"a1"}
    await centre.close()


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir(exist_ok=True)
    return path


class TestFileLocks(LocksSuite):
    @pytest.fixture
    def locks(self, tmp_path: Path) -> FileLocks:
        return FileLocks(folder(tmp_path, "locks"))

    other = locks


async def opened(tmp_path: Path, rows: Rows | None, host: str) -> AsyncIterator[SharedLocks]:
    locks = SharedLocks(FileLocks(folder(tmp_path, host)), lambda: rows, host)
    yield locks
    await locks.close()


class TestLocksOfAStoreInFiles(LocksSuite):
    @pytest.fixture
    async def locks(self, tmp_path: Path) -> AsyncIterator[SharedLocks]:
        async for each in opened(tmp_path, None, "one"):
            yield each

    other = locks


class TestLocksOfOneMachine(LocksSuite):
    @pytest.fixture
    async def locks(self, tmp_path: Path, rows: Rows) -> AsyncIterator[SharedLocks]:
        async for each in opened(tmp_path, rows, "one"):
            yield each

    other = locks


class TestLocksOfTwoMachines(LocksSuite):
    @pytest.fixture
    async def locks(self, tmp_path: Path, rows: Rows) -> AsyncIterator[SharedLocks]:
        async for each in opened(tmp_path, rows, "one"):
            yield each

    @pytest.fixture
    async def other(self, tmp_path: Path, rows: Rows) -> AsyncIterator[SharedLocks]:
        async for each in opened(tmp_path, rows, "two"):
            yield each


# -- one machine -------------------------------------------------------------------------------------------------------

HOLDER = """
import asyncio, sys
from pathlib import Path
from records.locking.files import FileLocks

async def main():
    await FileLocks(Path(sys.argv[1])).take("lead_x")
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def killed(path: Path) -> None:
    """A process takes the lock `lead_x` and is killed."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        assert await FileLocks(path).is_held("lead_x")
        process.kill()


async def test_the_lock_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    await killed(tmp_path)
    await take(FileLocks(tmp_path), "lead_x")


async def test_what_a_killed_process_left_goes_when_somebody_looks(tmp_path: Path) -> None:
    await killed(tmp_path)
    assert list(tmp_path.iterdir())
    assert await FileLocks(tmp_path).held("lead_") == {}
    assert list(tmp_path.iterdir()) == []


# -- several -----------------------------------------------------------------------------------------------------------


async def test_the_row_of_a_process_that_was_killed_is_its_machines_at_once_and_others_when_it_expires(
    tmp_path: Path,
) -> None:
    rows = MemoryRows()
    await rows.take(row("lead_x", "one"), LONG)
    one = SharedLocks(FileLocks(folder(tmp_path, "one")), lambda: rows, "one")
    two = SharedLocks(FileLocks(folder(tmp_path, "two")), lambda: rows, "two")
    assert await two.take("lead_x") is None
    assert not await one.is_held("lead_x")
    await (await take(one, "lead_x")).release()
    await rows.take(row("lead_x", "one"), 0)
    await take(two, "lead_x")
    await two.close()


class FailingRows(MemoryRows):
    """Does not answer while it fails, and counts what it is asked."""

    failing = False
    asked = failed = renewed = 0

    async def renew(self, holders: Collection[str], seconds: float) -> set[str]:
        if self.failing:
            self.failed += 1
            raise StorageUnavailable("no answer")
        self.renewed += 1
        return await super().renew(holders, seconds)

    async def others(self, host: str) -> list[Row]:
        self.asked += 1
        return await super().others(host)


@pytest.fixture
async def failing() -> FailingRows:
    return FailingRows()


@pytest.fixture
async def mine(tmp_path: Path, failing: FailingRows) -> AsyncIterator[SharedLocks]:
    async for each in opened(tmp_path, failing, "one"):
        yield each


async def waited(locks: Locks) -> None:
    async with taken(locks, "era_1") as held:
        assert held is not None
        await asyncio.Event().wait()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "TTL", 0.05)
    monkeypatch.setattr(shared, "MARGIN", 0.01)
    monkeypatch.setattr(shared, "RENEW", 0.005)


@pytest.mark.usefixtures("fast")
async def test_who_cannot_renew_a_lock_stops_before_others_may_have_it(mine: SharedLocks, failing: FailingRows) -> None:
    failing.failing = True
    with pytest.raises(StorageUnavailable, match="era_1 was lost: the database did not answer"):
        async with asyncio.timeout(20):
            await waited(mine)


@pytest.mark.usefixtures("fast")
async def test_who_finds_that_another_host_has_the_lock_stops(
    mine: SharedLocks, failing: FailingRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "TTL", LONG)
    waiting = asyncio.create_task(waited(mine))
    async with asyncio.timeout(20):
        while "era_1" not in failing._rows:
            await asyncio.sleep(0)
        failing._rows["era_1"] = (row("era_1", "two"), 1e18)
        with pytest.raises(StorageUnavailable, match="era_1 was lost: this process stood still"):
            await waiting
    assert failing._rows["era_1"][0].host == "two"


async def test_a_renewal_that_failed_is_tried_again_before_the_lock_is_lost(
    mine: SharedLocks, failing: FailingRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared.RENEW + 3 * (shared.TRY + shared.AGAIN) <= shared.TTL - shared.MARGIN
    monkeypatch.setattr(shared, "RENEW", 0.0)
    monkeypatch.setattr(shared, "AGAIN", 0.0)
    failing.failing = True
    await take(mine, "era_1")
    async with asyncio.timeout(20):
        while not failing.failed:
            await asyncio.sleep(0)
        monkeypatch.setattr(shared, "RENEW", LONG)
        failing.failing = False
        while not failing.renewed:
            await asyncio.sleep(0)


async def test_locks_taken_before_the_store_came_into_a_database_get_rows_then(tmp_path: Path) -> None:
    found: list[Rows] = []
    one = SharedLocks(FileLocks(folder(tmp_path, "one")), lambda: found[0] if found else None, "one")
    held, lost = await take(one, "era_1"), await take(one, "era_2")
    rows = MemoryRows()
    await rows.take(row("era_2", "two"), LONG)
    found.append(rows)
    assert await one.is_held("era_1")
    assert [each.name for each in await rows.others("two")] == ["era_1"]
    assert (held.lost, lost.lost) == (False, True)
    found.clear()
    await one._renew_once()
    await held.release()
    await one.close()


async def test_an_answer_about_other_machines_may_be_as_old_as_one_allows(
    mine: SharedLocks, failing: FailingRows
) -> None:
    assert [await mine.is_held("pause_1", LONG) for _ in range(5)] == [False] * 5
    await asyncio.gather(*(mine.is_held("pause_1", LONG) for _ in range(5)))
    assert failing.asked == 1
    await failing.take(row("pause_1", "two"), LONG)
    assert await mine.is_held("pause_1", LONG) is False
    assert await mine.is_held("pause_1") is True
    assert await mine.is_held("pause_1", LONG) is True


async def test_of_its_own_machine_the_answer_is_never_old(
    mine: SharedLocks, failing: FailingRows, tmp_path: Path
) -> None:
    assert await mine.is_held("pause_1", LONG) is False
    async for beside in opened(tmp_path, failing, "one"):
        await take(beside, "pause_1")
        assert await mine.is_held("pause_1", LONG) is True


class SlowRows(MemoryRows):
    """Is cut off after a row was written, and before that is told."""

    async def take(self, row: Row, seconds: float) -> bool:
        await super().take(row, seconds)
        await asyncio.Event().wait()
        return True


async def test_who_is_cancelled_while_it_takes_a_lock_leaves_no_row(tmp_path: Path) -> None:
    rows = SlowRows()
    async for locks in opened(tmp_path, rows, "one"):
        taking = asyncio.create_task(locks.take("era_1"))
        async with asyncio.timeout(20):
            while not rows._rows:
                await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert not rows._rows


class LateRows(MemoryRows):
    """Writes a row when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def take(self, row: Row, seconds: float) -> bool:
        self.asked.set()
        await self.let.wait()
        return await super().take(row, seconds)


async def test_a_lock_whose_row_is_being_written_when_others_are_renewed_is_not_lost(tmp_path: Path) -> None:
    rows = LateRows()
    async for locks in opened(tmp_path, rows, "one"):
        rows.let.set()
        await take(locks, "lead_x")
        rows.let.clear()
        rows.asked.clear()
        taking = asyncio.create_task(locks.take("era_1"))
        async with asyncio.timeout(20):
            await rows.asked.wait()
        await locks._renew_once()
        rows.let.set()
        held = await taking
        assert held is not None
        assert not held.lost
        await locks._renew_once()
        assert not held.lost
