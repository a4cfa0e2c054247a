"""What every record engine answers to reads."""

import random

import pytest

from records.engine import Engine
from records.model import Order, Partition, PartitionStats, Position, StoredRecord
from records.order import sort_key
from tests.conformance.engine_values import (
    GMAIL,
    MAILS,
    MESSAGES,
    OTHERS,
    SLACK,
    T1,
    USERS,
    apply,
    delete,
    keys_of,
    position_of,
    put,
)

PLACES = [USERS, OTHERS, MESSAGES, MAILS]
NOWHERE = Partition("nobody", "x", "y")
CURSORS: list[object] = [
    None,
    None,
    False,
    -7,
    2**53,
    2**53 + 1,
    2.0**53,
    1e300,
    "2026",
    "2026\0",
    "2027",
    [1],
    {"a": 1},
]


def in_order(records: list[StoredRecord], order: Order) -> list[StoredRecord]:
    """As the port says: absent cursor fields last in both directions."""
    ranked = sorted(
        records, key=lambda each: (each.sort.encoded, each.partition, each.key), reverse=order is Order.DESC
    )
    return sorted(ranked, key=lambda each: each.sort.absent)


async def filled(engine: Engine, rng: random.Random) -> list[StoredRecord]:
    """Records in several partitions, many of them with the same key and cursor value; all there is."""
    for place in PLACES:
        for key in rng.sample(["", "a", "a\0", "b", "é", "\uffff", "\U00010000"], 6):
            await apply(engine, place, put(key, "old", at=rng.choice(CURSORS)), put(key, "new", at=rng.choice(CURSORS)))
        await apply(engine, place, put("gone"), delete("gone"))
    return [
        record for key in ["", "a", "a\0", "b", "é", "\uffff", "\U00010000"] for record in await engine.get(PLACES, key)
    ]


class EngineReads:
    async def test_records_of_one_key_come_in_the_order_of_their_partitions(self, engine: Engine) -> None:
        for place in PLACES:
            await apply(engine, place, put("a"), put("b"))
        found = await engine.get([USERS, NOWHERE, MAILS, MESSAGES, USERS], "a")
        assert [(record.partition, record.key) for record in found] == [(MAILS, "a"), (MESSAGES, "a"), (USERS, "a")]
        assert await engine.get([NOWHERE], "a") == []
        assert await engine.get([], "a") == []
        assert await engine.get(PLACES, "c") == []

    @pytest.mark.parametrize("order", Order)
    async def test_a_page_holds_the_first_records_in_order(
        self, engine: Engine, rng: random.Random, order: Order
    ) -> None:
        everything = await filled(engine, rng)
        for places in ([MESSAGES], PLACES, [MESSAGES, NOWHERE, OTHERS, OTHERS], [NOWHERE], []):
            expected = in_order([record for record in everything if record.partition in places], order)
            for limit in (0, 1, 5, 100):
                assert await engine.page(places, order, None, limit) == expected[:limit]

    @pytest.mark.parametrize("order", Order)
    async def test_a_page_ends_with_the_record_that_makes_it_too_long(
        self, engine: Engine, rng: random.Random, order: Order
    ) -> None:
        expected = in_order(await filled(engine, rng), order)
        for stop in range(1, len(expected) + 1):
            below = sum(len(record.data) for record in expected[:stop]) - 1
            assert await engine.page(PLACES, order, None, 100, below) == expected[:stop]
        everything = sum(len(record.data) for record in expected)
        assert await engine.page(PLACES, order, None, 100, everything) == expected
        assert await engine.page(PLACES, order, None, 1, everything) == expected[:1]

    @pytest.mark.parametrize("order", Order)
    async def test_a_page_goes_on_beyond_any_position(self, engine: Engine, rng: random.Random, order: Order) -> None:
        everything = in_order(await filled(engine, rng), order)
        for places in ([OTHERS], [USERS, MAILS], PLACES):
            for number, record in enumerate(everything):
                expected = [each for each in everything[number + 1 :] if each.partition in places]
                assert await engine.page(places, order, position_of(record), 3) == expected[:3]

    @pytest.mark.parametrize("order", Order)
    async def test_a_position_may_be_of_a_record_that_is_gone(self, engine: Engine, order: Order) -> None:
        await apply(engine, MESSAGES, *(put(key, at=1) for key in "abcd"))
        page = await engine.page([MESSAGES], order, None, 2)
        await apply(engine, MESSAGES, *(delete(key) for key in keys_of(page)))
        rest = await engine.page([MESSAGES], order, position_of(page[-1]), 10)
        assert keys_of(page + rest) == sorted("abcd", reverse=order is Order.DESC)

    @pytest.mark.parametrize("order", Order)
    async def test_a_position_between_records_may_be_of_a_partition_without_any(
        self, engine: Engine, order: Order
    ) -> None:
        await apply(engine, MAILS, put("a", at=1))
        await apply(engine, USERS, put("a", at=1))
        between = Position(sort_key(1, "a"), Partition(SLACK, "one", "empty"), "a")
        rest = await engine.page([MAILS, USERS], order, between, 10)
        assert [record.partition for record in rest] == [USERS if order is Order.ASC else MAILS]

    @pytest.mark.parametrize("order", Order)
    async def test_paging_visits_each_record_once_while_others_come_and_go(
        self, engine: Engine, rng: random.Random, order: Order
    ) -> None:
        stable = [f"{n:03}" for n in range(40)]
        places = [MESSAGES, OTHERS]
        for place in places:
            await apply(engine, place, *(put(key, at=rng.choice([None, 1, 2])) for key in stable))
        seen: list[StoredRecord] = []
        while page := await engine.page(places, order, position_of(seen[-1]) if seen else None, 7):
            seen += page
            passing = f"{rng.randrange(40):03}-{len(seen)}"
            await apply(engine, rng.choice(places), put(passing, at=rng.choice([None, 0, 1, 2, 3])))
            await apply(engine, rng.choice(places), delete(passing))
        kept = [(record.partition, record.key) for record in seen if record.key in stable]
        assert sorted(kept) == [(place, key) for place in places for key in stable]
        assert seen == in_order(seen, order)

    async def test_stats_are_of_every_partition_that_was_ever_written_to(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"))
        await apply(engine, USERS, put("a"), delete("a"))
        await apply(engine, MAILS, put("a"))
        size = len(put("a").data)
        one = PartitionStats(1, size, 0, 1, T1)
        slack = {MESSAGES: PartitionStats(2, 2 * size, 0, 2, T1), USERS: PartitionStats(0, 0, 0, 2, None)}
        assert await engine.stats() == {MAILS: one, **slack}
        assert await engine.stats(SLACK) == slack
        assert await engine.stats(GMAIL) == {MAILS: one}
        assert await engine.stats("nobody") == {}
