"""What all locks do: inherit a class, give it fixtures; each fixture stands for a process that has the store open."""

import asyncio

import pytest

from blobstore.errors import StorageUnavailable
from records.locking.rows import Row, Rows
from records.locks import Held, Locks, taken


async def take(locks: Locks, name: str, detail: bytes = b"") -> Held:
    held = await locks.take(name, detail)
    assert held is not None
    return held


class LocksSuite:
    """`locks` and `other`: of two processes, on one machine or on two."""

    async def test_one_of_two_has_a_lock_until_it_gives_it_up(self, locks: Locks, other: Locks) -> None:
        held = await take(locks, "era_1")
        assert await locks.take("era_1") is None
        assert await other.take("era_1") is None
        await held.release()
        await held.release()
        await (await take(other, "era_1")).release()

    async def test_locks_of_other_names_do_not_matter(self, locks: Locks, other: Locks) -> None:
        await take(locks, "era_1")
        await take(other, "era_2")

    async def test_all_see_who_has_what_with_its_detail(self, locks: Locks, other: Locks) -> None:
        await take(locks, "copy_b", b"detail")
        await take(other, "copy_a")
        await take(other, "era_1")
        for each in (locks, other):
            assert await each.held("copy_") == {"copy_a": b"", "copy_b": b"detail"}
            assert set(await each.held("era_", "copy_b")) == {"era_1", "copy_b"}
            assert await each.is_held("copy_a") is True
            assert await each.is_held("copy") is False

    async def test_what_was_given_up_is_not_held(self, locks: Locks, other: Locks) -> None:
        held = await take(locks, "pause_1")
        assert await other.is_held("pause_1") is True
        await held.release()
        assert await other.is_held("pause_1") is False
        assert await locks.is_held("pause_1") is False
        assert await other.held("pause_") == {}

    async def test_closing_gives_everything_up(self, locks: Locks, other: Locks) -> None:
        await take(locks, "era_1")
        await take(locks, "era_2")
        await locks.close()
        await locks.close()
        await take(other, "era_1")
        assert set(await other.held("era_")) == {"era_1"}

    async def test_of_many_that_want_it_at_once_one_gets_it(self, locks: Locks, other: Locks) -> None:
        found = await asyncio.gather(*(each.take("lead_x") for each in (locks, other) * 10))
        assert sum(held is not None for held in found) <= 1
        if not any(found):  # who looks whether another has it may keep both from it; never do both get it
            await take(locks, "lead_x")

    async def test_a_block_has_the_lock_for_its_length(self, locks: Locks, other: Locks) -> None:
        async with taken(locks, "era_1") as held:
            assert held is not None
            async with taken(other, "era_1") as refused:
                assert refused is None
            assert await other.is_held("era_1")
        assert not await other.is_held("era_1")

    async def test_an_error_inside_the_block_is_raised_and_gives_the_lock_up(self, locks: Locks, other: Locks) -> None:
        with pytest.raises(TimeoutError):
            async with taken(locks, "era_1"):
                raise TimeoutError
        assert not await other.is_held("era_1")

    async def test_who_loses_the_lock_is_stopped_at_the_next_step(self, locks: Locks) -> None:
        steps = []

        async def work() -> None:
            async with taken(locks, "era_1") as held:
                assert held is not None
                held.lose()
                steps.append(1)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                steps.append(2)

        with pytest.raises(StorageUnavailable, match="era_1 was lost"):
            await work()
        assert steps == [1]

    async def test_who_is_cancelled_is_cancelled_and_has_the_lock_no_more(self, locks: Locks, other: Locks) -> None:
        async def work() -> None:
            async with taken(locks, "era_1"):
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        async with asyncio.timeout(20):
            while not await other.is_held("era_1"):
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await other.is_held("era_1")


LONG = 3600.0


def row(name: str, host: str, number: int = 1, detail: bytes = b"") -> Row:
    return Row(name, host, f"{host}{number}", detail)


class RowsSuite:
    """`rows`: empty ones."""

    async def test_one_host_has_a_name_until_it_expires(self, rows: Rows) -> None:
        assert await rows.take(row("n", "a"), LONG)
        assert not await rows.take(row("n", "b"), LONG)
        assert await rows.take(row("n", "a", 2), 0)
        assert await rows.take(row("n", "b"), LONG)
        assert not await rows.take(row("n", "a"), LONG)

    async def test_others_are_those_of_other_hosts_that_have_not_expired(self, rows: Rows) -> None:
        for each in (row("z", "a", 1, b"\0d"), row("y", "a", 2), row("x", "b")):
            await rows.take(each, LONG)
        await rows.take(row("w", "b", 2), 0)
        assert await rows.others("b") == [row("y", "a", 2), row("z", "a", 1, b"\0d")]
        assert await rows.others("a") == [row("x", "b")]

    async def test_what_is_renewed_lasts_and_what_is_lost_is_not_renewed(self, rows: Rows) -> None:
        await rows.take(row("kept", "a", 1), LONG)
        await rows.take(row("expired", "a", 2), 0)
        await rows.take(row("replaced", "a", 3), LONG)
        await rows.take(row("replaced", "a", 4), LONG)
        await rows.take(row("theirs", "b", 1), LONG)
        assert await rows.renew(["a1", "a2", "a3", "a5"], LONG) == {"a1"}
        assert [each.name for each in await rows.others("b")] == ["kept", "replaced"]
        assert await rows.renew(["a1"], 0) == {"a1"}
        assert [each.name for each in await rows.others("b")] == ["replaced"]
        assert await rows.renew([], LONG) == set()

    async def test_what_is_dropped_is_free(self, rows: Rows) -> None:
        await rows.take(row("n", "a"), LONG)
        await rows.drop("a1")
        await rows.drop("a1")
        assert await rows.take(row("n", "b"), LONG)
        await rows.drop("a1")
        assert await rows.others("a") == [row("n", "b")]

    async def test_of_many_hosts_that_want_it_at_once_one_gets_it(self, rows: Rows) -> None:
        hosts = [f"h{number}" for number in range(8)]
        found = await asyncio.gather(*(rows.take(row("n", host), LONG) for host in hosts))
        assert sum(found) == 1
