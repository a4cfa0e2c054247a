"""What every record engine does to erase."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from records.engine import Engine
from records.errors import Fenced
from records.model import Erased, Order, Outcome, Partition, PartitionStats, Target
from tests.conformance.engine_values import (
    GMAIL,
    MAILS,
    MESSAGES,
    OTHERS,
    SLACK,
    T1,
    T2,
    USERS,
    apply,
    batch_of,
    delete,
    link_of,
    put,
    version_of,
)

PLACES = [MAILS, MESSAGES, OTHERS, USERS]
SIZE = len(put("a", "text").data)


async def fill(engine: Engine) -> None:
    """Three records in each partition, at version 3."""
    for place in PLACES:
        await apply(engine, place, *(put(key, "text") for key in "abc"))


async def erase_all(engine: Engine, target: Target, limit: int) -> list[Erased]:
    steps = [await engine.erase(target, T2, limit)]
    while not steps[-1].finished:
        steps.append(await engine.erase(target, T2, limit))
    return steps


class EngineErasure:
    @pytest.mark.parametrize(
        ("target", "hit", "tombstones"),
        [
            (Target(SLACK, "one", "messages", "b"), [MESSAGES], 1),
            (Target(SLACK, "one", "messages"), [MESSAGES], 3),
            (Target(SLACK, "one"), [MESSAGES, USERS], 0),
            (Target(SLACK), [MESSAGES, USERS, OTHERS], 0),
        ],
        ids=["record", "stream", "instance", "connector"],
    )
    async def test_an_erasure_takes_its_target_and_nothing_else(
        self, engine: Engine, target: Target, hit: Sequence[Partition], tombstones: int
    ) -> None:
        await fill(engine)
        each = 1 if target.key else 3
        step = await engine.erase(target, T2, 100)
        assert step == Erased(each * len(hit), each * len(hit) * SIZE, frozenset(), True)
        left = {place: 3 - each if place in hit else 3 for place in PLACES}
        assert await engine.stats() == {
            place: PartitionStats(
                count,
                count * SIZE,
                0,
                3 + (tombstones if place in hit else 0),
                T1 if count else None,
                3 if place in hit and not tombstones else 0,
            )
            for place, count in left.items()
        }
        for key in "abc":
            gone = [] if target.key not in (None, key) else hit
            found = [record.partition for record in await engine.get(PLACES, [key])]
            assert found == [place for place in sorted(PLACES) if place not in gone]

    @pytest.mark.parametrize("limit", [1, 2, 5, 9])
    @pytest.mark.parametrize("target", [Target(SLACK), Target(SLACK, "one"), Target(SLACK, "one", "messages")])
    async def test_each_step_takes_at_most_the_limit_and_the_last_one_says_so(
        self, engine: Engine, target: Target, limit: int
    ) -> None:
        await fill(engine)
        before = sum(of.records for of in (await engine.stats()).values())
        steps = await erase_all(engine, target, limit)
        after = sum(of.records for of in (await engine.stats()).values())
        assert sum(step.records for step in steps) == before - after
        assert sum(step.bytes for step in steps) == (before - after) * SIZE
        assert [step.records for step in steps[:-1]] == [limit] * (len(steps) - 1)
        assert await erase_all(engine, target, limit) == [Erased(0, 0, frozenset(), True)]

    async def test_what_an_instance_leaves_of_deleted_records_counts_towards_the_limit(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, *(put(key) for key in "abcde"), *(delete(key) for key in "abc"))
        steps = await erase_all(engine, Target(SLACK, "one"), 2)
        # Beside two records three tombstones, and what is remembered of three.
        assert [(step.records, step.finished) for step in steps] == [(2, False), (0, False), (0, False), (0, True)]
        await apply(engine, MESSAGES, put("a"), put("b"), delete("b"))
        assert [step.records for step in await erase_all(engine, Target(SLACK, "one"), 2)] == [1, 0]

    async def test_the_erasure_of_a_stream_keeps_tombstones_and_is_finished_all_the_same(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), delete("a"))
        assert await engine.erase(Target(SLACK, "one", "messages"), T2, 10) == Erased(0, 0, frozenset(), True)
        assert await engine.erase(Target(SLACK, "one", "messages", "a"), T2, 10) == Erased(0, 0, frozenset(), True)
        assert await version_of(engine, MESSAGES) == 2

    async def test_erasing_what_is_not_there_is_finished_at_once(self, engine: Engine) -> None:
        await fill(engine)
        for target in (Target("nobody"), Target(SLACK, "nine"), Target(SLACK, "one", "messages", "z")):
            assert await engine.erase(target, T2, 10) == Erased(0, 0, frozenset(), True)
        assert [of.version for of in (await engine.stats()).values()] == [3] * 4

    async def test_versions_never_run_backwards(self, engine: Engine) -> None:
        await fill(engine)
        for target in (Target(SLACK, "one", "messages", "a"), Target(SLACK, "one"), Target(SLACK)):
            before = await version_of(engine, MESSAGES)
            await engine.erase(target, T2, 10)
            assert await version_of(engine, MESSAGES) >= before
            assert await apply(engine, MESSAGES, put("a", "again")) == [Outcome.CREATED]
            assert (await engine.get([MESSAGES], ["a"]))[0].version > before

    async def test_the_newest_emission_goes_with_the_last_record(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", emitted_at=T2), put("b", emitted_at=T1))
        await engine.erase(Target(SLACK, "one", "messages", "a"), T2, 10)
        assert (await engine.stats())[MESSAGES].updated_at == T2
        await engine.erase(Target(SLACK, "one", "messages", "b"), T2, 10)
        assert (await engine.stats())[MESSAGES].updated_at is None

    async def test_erased_records_can_be_sanitized(self, engine: Engine) -> None:
        await fill(engine)
        await apply(engine, MESSAGES, put("a", "longer" * 500, link_of(1)), delete("b"))
        await engine.erase(Target(SLACK, "two"), T2, 10)
        before = await engine.stats(), await engine.page(PLACES, Order.ASC, None, 100)
        assert await engine.sanitize(10.0)
        assert await engine.sanitize(10.0)
        assert (await engine.stats(), await engine.page(PLACES, Order.ASC, None, 100)) == before
        assert [link.link for link in await engine.links_in(MESSAGES, "a")] == [link_of(1)]
        assert await apply(engine, MESSAGES, put("b"), put("c", "text")) == [Outcome.CREATED, Outcome.UNCHANGED]
        assert await engine.check() == []

    # -- one that is remembered ------------------------------------------------------------------------------------

    async def test_what_an_erasure_took_is_remembered_step_by_step(self, engine: Engine) -> None:
        await fill(engine)
        assert await engine.erased("e1") == {}
        await engine.erase(Target(SLACK, "one"), T2, 4, "e1")
        assert await engine.erased("e1") == {MESSAGES: 3, USERS: 1}
        while not (await engine.erase(Target(SLACK, "one"), T2, 4, "e1")).finished:
            pass
        await engine.erase(Target(SLACK, "two"), T2, 100, "e1")
        await engine.erase(Target(GMAIL), T2, 100, "e2")
        assert await engine.erased("e1") == {MESSAGES: 3, USERS: 3, OTHERS: 3}
        assert await engine.erased("e2") == {MAILS: 3}

    @pytest.mark.parametrize(
        "target",
        [
            Target(SLACK, "one", "messages", "a"),
            Target(SLACK, "one", "messages"),
            Target(SLACK, "one"),
            Target(SLACK),
        ],
        ids=["record", "stream", "instance", "connector"],
    )
    async def test_an_erasure_that_is_over_takes_nothing_that_came_later(self, engine: Engine, target: Target) -> None:
        await fill(engine)
        assert (await engine.erase(target, T2, 100, "e1")).finished
        taken = await engine.erased("e1")
        await apply(engine, MESSAGES, put("a", "later"))
        assert await engine.erase(target, T2, 100, "e1") == Erased(0, 0, frozenset(), True)
        assert len(await engine.get([MESSAGES], ["a"])) == 1
        assert await engine.erased("e1") == taken
        assert (await engine.erase(target, T2, 100, "e2")).records == 1

    @pytest.mark.parametrize(
        ("target", "raised"),
        [
            (Target(SLACK, "one", "messages", "a"), []),
            (Target(SLACK, "one", "messages"), [MESSAGES]),
            (Target(SLACK, "one"), [MESSAGES, USERS]),
            (Target(SLACK), [MESSAGES, USERS, OTHERS]),
        ],
        ids=["record", "stream", "instance", "connector"],
    )
    async def test_the_step_that_finishes_fences_off_what_was_begun_before(
        self, engine: Engine, target: Target, raised: Sequence[Partition]
    ) -> None:
        await fill(engine)
        begun = {place: batch_of(place, put("late")) for place in PLACES}
        while not (await engine.erase(target, T2, 2, "e1")).finished:
            assert [await engine.epoch(place) for place in PLACES] == [0] * 4
        await engine.erase(target, T2, 2, "e1")
        assert [await engine.epoch(place) for place in PLACES] == [int(place in raised) for place in PLACES]
        for place, batch in begun.items():
            if place in raised:
                with pytest.raises(Fenced):
                    await engine.apply(batch)
            else:
                assert await engine.apply(batch) == [Outcome.CREATED]

    async def test_a_stream_that_nothing_was_written_to_is_fenced_too(self, engine: Engine) -> None:
        begun = batch_of(MESSAGES, put("late"))
        assert (await engine.erase(Target(SLACK, "one", "messages"), T2, 2, "e1")).finished
        with pytest.raises(Fenced):
            await engine.apply(begun)
        assert await engine.stats() == {}

    # -- fences ----------------------------------------------------------------------------------------------------

    async def test_epochs_are_zero_before_the_first_erasure(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        assert [await engine.epoch(MESSAGES), await engine.epoch(Partition("nobody", "x", "y"))] == [0, 0]

    async def test_a_fence_is_around_one_instance(self, engine: Engine) -> None:
        await engine.fence(SLACK, "one")
        await engine.fence(SLACK, "one")
        places = [MESSAGES, USERS, OTHERS, MAILS]
        assert [await engine.epoch(place) for place in places] == [2, 2, 0, 0]

    async def test_a_fence_around_a_connector_is_around_instances_not_seen_yet(self, engine: Engine) -> None:
        await engine.fence(SLACK, "one")
        await engine.fence(SLACK, None)
        await engine.fence(SLACK, "two")
        names = [(SLACK, "one"), (SLACK, "two"), (SLACK, "new"), (GMAIL, "one")]
        assert [await engine.epoch(Partition(*name, "messages")) for name in names] == [2, 2, 1, 0]
        with pytest.raises(Fenced):
            await engine.apply(batch_of(Partition(SLACK, "new", "messages"), put("a")))
        assert await engine.apply(replace(batch_of(MESSAGES, put("a")), epoch=2)) == [Outcome.CREATED]

    async def test_a_fence_takes_nothing_away(self, engine: Engine) -> None:
        await fill(engine)
        before = await engine.stats()
        await engine.fence(SLACK, None)
        assert await engine.stats() == before
