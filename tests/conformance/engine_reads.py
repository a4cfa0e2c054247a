"""What every record engine answers to reads."""

import asyncio
import random
from collections.abc import Iterable, Sequence

import pytest

from records.engine import Engine
from records.model import Link, Order, Page, Partition, PartitionStats, Position, StoredRecord
from records.order import sort_key
from records.reading.paging import MAX_LOOKED_BYTES, MAX_LOOKS, position
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
    link_of,
    put,
)

PLACES = [USERS, OTHERS, MESSAGES, MAILS]
NOWHERE = Partition("nobody", "x", "y")
KEYS = ["", "a", "a\0", "b", "é", "\uffff", "\U00010000"]
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
    ranked = sorted(records, key=lambda each: (each.sort.cursor, each.key, each.partition), reverse=order is Order.DESC)
    return sorted(ranked, key=lambda each: each.sort.absent)


def page_of(records: list[StoredRecord], limit: int) -> Page:
    """The first of these records, as a page of all of them."""
    return Page(records[:limit], position(records[limit - 1]) if len(records) > limit else None)


async def filled(engine: Engine, rng: random.Random) -> list[StoredRecord]:
    """Records in several partitions, many of them with the same key and cursor value; all there is."""
    for place in PLACES:
        for key in rng.sample(KEYS, 6):
            await apply(engine, place, put(key, "old", at=rng.choice(CURSORS)), put(key, "new", at=rng.choice(CURSORS)))
        await apply(engine, place, put("gone"), delete("gone"))
    return await engine.get(PLACES, KEYS)


class EngineReads:
    async def test_records_come_in_the_order_of_partitions_and_keys(self, engine: Engine) -> None:
        for place in PLACES:
            await apply(engine, place, put("b"), put("a"), put("c"))
        found = await engine.get([USERS, NOWHERE, MAILS, MESSAGES, USERS], ["c", "a", "none", "c"])
        expected = [(place, key) for place in (MAILS, MESSAGES, USERS) for key in "ac"]
        assert [(record.partition, record.key) for record in found] == expected
        assert await engine.get([NOWHERE], ["a"]) == []
        assert await engine.get([], ["a"]) == []
        assert await engine.get(PLACES, []) == []

    async def test_records_with_these_keys_end_with_the_one_that_makes_them_too_long(self, engine: Engine) -> None:
        for place in (MESSAGES, USERS):
            await apply(engine, place, *(put(key, "x" * 100) for key in "abc"))
        size = len((await engine.get([MESSAGES], ["a"]))[0].data)
        every = await engine.get([MESSAGES, USERS], "abc")
        for max_bytes, count in ((0, 1), (size - 1, 1), (size, 2), (4 * size, 5), (6 * size, 6)):
            assert await engine.get([MESSAGES, USERS], "abc", max_bytes=max_bytes) == every[:count]

    async def test_any_number_of_records_may_be_asked_for(self, engine: Engine) -> None:
        keys = [f"{n:04}" for n in range(1200)]
        await apply(engine, MESSAGES, *(put(key) for key in keys))
        assert keys_of(await engine.get([MESSAGES], keys)) == keys

    # -- pages -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("order", Order)
    async def test_a_page_holds_the_first_records_in_order(
        self, engine: Engine, rng: random.Random, order: Order
    ) -> None:
        everything = await filled(engine, rng)
        for places in ([MESSAGES], PLACES, [MESSAGES, NOWHERE, OTHERS, OTHERS], [NOWHERE], []):
            expected = in_order([record for record in everything if record.partition in places], order)
            for limit in (1, 5, 100):
                assert await engine.page(places, order, None, limit) == page_of(expected, limit)

    @pytest.mark.parametrize("order", Order)
    async def test_a_page_ends_with_the_record_that_makes_it_too_long(
        self, engine: Engine, rng: random.Random, order: Order
    ) -> None:
        expected = in_order(await filled(engine, rng), order)
        for stop in range(1, len(expected) + 1):
            below = sum(len(record.data) for record in expected[:stop]) - 1
            assert await engine.page(PLACES, order, None, 100, max_bytes=below) == page_of(expected, stop)
        everything = sum(len(record.data) for record in expected)
        assert await engine.page(PLACES, order, None, 100, max_bytes=everything) == page_of(expected, 100)
        assert await engine.page(PLACES, order, None, 1, max_bytes=everything) == page_of(expected, 1)

    @pytest.mark.parametrize("order", Order)
    async def test_a_page_goes_on_beyond_any_position(self, engine: Engine, rng: random.Random, order: Order) -> None:
        everything = in_order(await filled(engine, rng), order)
        for places in ([OTHERS], [USERS, MAILS], PLACES):
            for number, record in enumerate(everything):
                expected = [each for each in everything[number + 1 :] if each.partition in places]
                assert await engine.page(places, order, position(record), 3) == page_of(expected, 3)

    @pytest.mark.parametrize("order", Order)
    @pytest.mark.parametrize("places", [[MESSAGES], PLACES], ids=["one partition", "several"])
    async def test_a_page_has_only_what_is_to_be_kept_and_tells_how_far_it_looked(
        self, engine: Engine, rng: random.Random, order: Order, places: list[Partition]
    ) -> None:
        everything = [each for each in in_order(await filled(engine, rng), order) if each.partition in places]
        kept = [each for each in everything if rng.random() < 0.4]
        names = {(each.partition, each.key, each.data) for each in kept}
        found: list[StoredRecord] = []
        page = await engine.page(places, order, None, 2, keep=lambda *each: each in names)
        while page.reached is not None:
            assert page.reached == position(page.records[1])
            found += page.records
            page = await engine.page(places, order, page.reached, 2, keep=lambda *each: each in names)
        assert found + list(page.records) == kept
        assert await engine.page(places, order, None, 2, keep=lambda *_: False) == Page([], None)

    @pytest.mark.parametrize("order", Order)
    async def test_a_page_ends_a_long_search_and_tells_where(self, engine: Engine, order: Order) -> None:
        keys = [f"{n:05}" for n in range(MAX_LOOKS // 2 + 50)]
        places = [MESSAGES, OTHERS]
        for place in places:
            await apply(engine, place, *(put(key, at=None if int(key) % 3 else int(key)) for key in keys))
        everything = in_order(await engine.get(places, keys), order)
        last = everything[-1]
        page = await engine.page(places, order, None, 5, keep=lambda *each: each[:2] == (last.partition, last.key))
        assert page == Page([], position(everything[MAX_LOOKS - 1]))
        page = await engine.page(
            places, order, page.reached, 5, keep=lambda *each: each[:2] == (last.partition, last.key)
        )
        assert page == Page([last], None)

    async def test_a_page_looks_at_no_more_than_so_many_bytes(self, engine: Engine) -> None:
        count = MAX_LOOKED_BYTES // 2**20
        for number in range(count + 2):
            await apply(engine, MESSAGES, put(f"{number:03}", "x" * 2**20))
        page = await engine.page([MESSAGES], Order.ASC, None, 5, keep=lambda *_: False)
        assert page.records == []
        assert page.reached is not None
        assert page.reached.key == f"{count - 1:03}"

    @pytest.mark.parametrize("order", Order)
    async def test_a_position_may_be_of_a_record_that_is_gone(self, engine: Engine, order: Order) -> None:
        await apply(engine, MESSAGES, *(put(key, at=1) for key in "abcd"))
        page = await engine.page([MESSAGES], order, None, 2)
        await apply(engine, MESSAGES, *(delete(key) for key in keys_of(page.records)))
        rest = await engine.page([MESSAGES], order, page.reached, 10)
        assert keys_of([*page.records, *rest.records]) == sorted("abcd", reverse=order is Order.DESC)

    @pytest.mark.parametrize("order", Order)
    async def test_a_position_between_records_may_be_of_a_partition_without_any(
        self, engine: Engine, order: Order
    ) -> None:
        await apply(engine, MAILS, put("a", at=1))
        await apply(engine, USERS, put("a", at=1))
        between = Position(sort_key(1), Partition(SLACK, "one", "empty"), "a")
        rest = await engine.page([MAILS, USERS], order, between, 10)
        assert [record.partition for record in rest.records] == [USERS if order is Order.ASC else MAILS]

    @pytest.mark.parametrize("order", Order)
    async def test_paging_visits_each_record_once_while_others_come_and_go(
        self, engine: Engine, rng: random.Random, order: Order
    ) -> None:
        stable = [f"{n:03}" for n in range(40)]
        places = [MESSAGES, OTHERS]
        for place in places:
            await apply(engine, place, *(put(key, at=rng.choice([None, 1, 2])) for key in stable))
        seen: list[StoredRecord] = []
        after = None
        while not seen or after is not None:
            page = await engine.page(places, order, after, 7)
            after = page.reached
            seen += page.records
            passing = f"{rng.randrange(40):03}-{len(seen)}"
            await apply(engine, rng.choice(places), put(passing, at=rng.choice([None, 0, 1, 2, 3])))
            await apply(engine, rng.choice(places), delete(passing))
        kept = [(record.partition, record.key) for record in seen if record.key in stable]
        assert sorted(kept) == [(place, key) for place in places for key in stable]
        assert seen == in_order(seen, order)

    async def test_a_sample_is_of_the_records_that_were_written_next(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("c"), put("a"), put("gone"), delete("gone"), put("b"), put("a", "anew"))
        await apply(engine, OTHERS, put("other"))
        found = {version: keys_of(await engine.sample(MESSAGES, [version])) for version in range(8)}
        assert found == {0: ["c"], 1: ["c"], 2: ["b"], 3: ["b"], 4: ["b"], 5: ["b"], 6: ["a"], 7: []}
        assert keys_of(await engine.sample(MESSAGES, [6, 0, 3, 3, 1, 99])) == ["c", "b", "a"]
        assert await engine.sample(MESSAGES, [6]) == await engine.get([MESSAGES], ["a"])
        assert await engine.sample(MESSAGES, []) == await engine.sample(NOWHERE, [1]) == []

    async def test_a_sample_stops_when_it_has_enough_bytes(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, *(put(key) for key in "abcd"))
        size = len(put("a").data)
        assert keys_of(await engine.sample(MESSAGES, [1, 2, 3, 4], max_bytes=2 * size - 1)) == ["a", "b"]

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

    # -- all of it -------------------------------------------------------------------------------------------------

    async def test_a_visit_sees_every_record_with_its_links_in_the_order_of_partitions_and_keys(
        self, engine: Engine
    ) -> None:
        for place in PLACES:
            await apply(engine, place, put("b", "", link_of(1, "/z"), link_of(2, "/a")), put("\U00010000"), put("a\0"))
            await apply(engine, place, put("\uffff", "", link_of(1)), put("gone", "", link_of(3)), delete("gone"))
        seen = await engine.visit([USERS, NOWHERE, MAILS, MESSAGES, USERS], list)
        expected = [(place, key) for place in (MAILS, MESSAGES, USERS) for key in ("a\0", "b", "\uffff", "\U00010000")]
        assert [(record.partition, record.key) for record, _ in seen] == expected
        assert [record for record, _ in seen] == await engine.get(
            [MAILS, MESSAGES, USERS], [key for _, key in expected]
        )
        links = [[], [link_of(2, "/a"), link_of(1, "/z")], [link_of(1)], []]
        assert [list(each) for _, each in seen] == links * 3
        assert await engine.visit([NOWHERE], list) == await engine.visit([], list) == []

    async def test_a_visit_is_of_one_moment_and_gives_back_what_the_visitor_makes(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, *(put(f"{number:04}") for number in range(2000)))

        def count(records: Iterable[tuple[StoredRecord, Sequence[Link]]]) -> int:
            return sum(1 for _ in records)

        counting = asyncio.ensure_future(engine.visit([MESSAGES, USERS], count))
        await apply(engine, MESSAGES, *(delete(f"{number:04}") for number in range(2000)))
        assert await counting in (0, 2000)
        assert await engine.visit([MESSAGES, USERS], count) == 0

    async def test_what_a_visitor_raises_is_raised(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"))

        def give_up(records: Iterable[object]) -> None:
            for _ in records:
                raise LookupError("enough")

        with pytest.raises(LookupError, match="enough"):
            await engine.visit([MESSAGES], give_up)
        await apply(engine, MESSAGES, put("c"))
        assert await engine.visit([MESSAGES], lambda records: [record.key for record, _ in records]) == ["a", "b", "c"]
