"""What every record engine does when its records came back from a backup."""

from records.engine import LEAP, Engine
from records.model import Outcome
from tests.conformance.engine_values import MAILS, MESSAGES, USERS, apply, delete, put, record_of


async def born(engine: Engine, key: str) -> int:
    record = await record_of(engine, MESSAGES, key)
    assert record is not None
    return record.version


class EngineLeap:
    async def test_a_leap_takes_every_partition_to_a_version_that_none_had(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), put("c"))
        await apply(engine, MAILS, put("a"))
        await engine.leap()
        stats = await engine.stats()
        assert {(of.version, of.floor) for of in stats.values()} == {(3 + LEAP, 3 + LEAP)}
        assert (stats[MESSAGES].records, stats[MAILS].records) == (3, 1)

    async def test_what_is_written_after_a_leap_goes_on_from_there(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await engine.leap()
        await apply(engine, MESSAGES, put("b"))
        assert await born(engine, "a") == 1
        assert await born(engine, "b") == 2 + LEAP

    async def test_a_partition_that_is_new_after_a_leap_begins_there(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await engine.leap()
        await apply(engine, USERS, put("a"))
        of = (await engine.stats())[USERS]
        assert (of.version, of.floor) == (2 + LEAP, 1 + LEAP)

    async def test_what_changes_nothing_makes_no_partition_after_a_leap_either(self, engine: Engine) -> None:
        await engine.leap()
        assert await apply(engine, USERS, delete("a")) == [Outcome.ABSENT]
        assert await engine.stats() == {}

    async def test_every_leap_goes_beyond_the_one_before(self, engine: Engine) -> None:
        await engine.leap()
        await engine.leap()
        await apply(engine, MESSAGES, put("a"))
        assert await born(engine, "a") == 2 * LEAP + 1

    async def test_changes_after_a_leap_are_told_from_it_on(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"))
        await engine.leap()
        floor = (await engine.stats())[MESSAGES].floor
        await apply(engine, MESSAGES, put("b", "new"), delete("a"))
        changes = await engine.changes(MESSAGES, floor, floor, floor + 2, 10)
        assert sorted(each.key for each in changes.changes) == ["a", "b"]
