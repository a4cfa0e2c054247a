"""What every record engine tells of changes, and how long it remembers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from records.engine import Engine
from records.history import Remembered, Revision, Revisions, read_revisions, recall
from records.model import Change, Changes, Delete, Outcome, Overtaken, Put, StoredRecord, Target, Tombstone
from tests.conformance.engine_values import (
    MAILS,
    MESSAGES,
    OTHERS,
    RECORDER,
    SLACK,
    T1,
    T2,
    T3,
    USERS,
    Clock,
    apply,
    batch_of,
    delete,
    put,
    record_of,
    version_of,
)


def text_of(change: Change) -> str | None:
    """What the record says now; None for a tombstone."""
    return change.now.data.decode() if isinstance(change.now, StoredRecord) else None


def state_of(record: Put) -> Remembered:
    return recall(RECORDER.remember(record.data))


async def changes(engine: Engine, since: int, after: int | None = None, horizon: int | None = None) -> Changes:
    """What changed in messages, up to now unless told otherwise."""
    horizon = await version_of(engine, MESSAGES) if horizon is None else horizon
    return await engine.changes(MESSAGES, since, since if after is None else after, horizon, 1000)


async def befores(engine: Engine, since: int) -> dict[str, Remembered | None]:
    """By key, what is remembered of the state at a version of what has changed since."""
    found = await changes(engine, since)
    return {each.now.key: None if each.before is None else recall(each.before) for each in found.changes}


async def keys_changed(engine: Engine, since: int) -> Sequence[str]:
    return [each.now.key for each in (await changes(engine, since)).changes]


async def grave_of(engine: Engine, key: str) -> Tombstone:
    found = await changes(engine, 1)
    (grave,) = [each.now for each in found.changes if each.now.key == key]
    assert isinstance(grave, Tombstone)
    return grave


class EngineChanges:
    # -- what was before -------------------------------------------------------------------------------------------

    async def test_an_update_tells_what_was_before(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "one"), put("b", "one"))
        await apply(engine, MESSAGES, put("a", "two"))
        (change,) = (await changes(engine, 2)).changes
        record = await record_of(engine, MESSAGES, "a")
        assert record is not None
        assert change == Change(record, RECORDER.remember(put("a", "one").data))

    async def test_what_was_before_is_told_for_every_version(self, engine: Engine) -> None:
        texts = [put("a", "one"), put("a", "two"), put("a", "three"), put("a", "four")]
        await apply(engine, MESSAGES, put("first"), *texts[:2])
        await apply(engine, MESSAGES, put("between"), texts[2])
        await apply(engine, MESSAGES, texts[3])
        expected = {1: None, 2: texts[0], 3: texts[1], 4: texts[1], 5: texts[2]}
        for since, before in expected.items():
            assert (await befores(engine, since))["a"] == (None if before is None else state_of(before))
        assert await keys_changed(engine, 6) == []

    async def test_a_deletion_tells_what_was_before(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "one"), put("b"))
        await apply(engine, MESSAGES, delete("a", T3))
        (change,) = (await changes(engine, 2)).changes
        assert change == Change(Tombstone("a", 3, T3, T3), RECORDER.remember(put("a", "one").data))

    async def test_a_record_that_was_deleted_and_came_back_was_there_before(self, engine: Engine) -> None:
        one, two = put("a", "one"), put("a", "two")
        await apply(engine, MESSAGES, one)
        await apply(engine, MESSAGES, delete("a"))
        await apply(engine, MESSAGES, two)
        assert await befores(engine, 1) == {"a": state_of(one)}
        assert await befores(engine, 2) == {"a": None}

    async def test_what_changed_and_changed_back_is_as_it_was(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "A"), put("b", "A"))
        await apply(engine, MESSAGES, put("a", "B"), delete("b"))
        await apply(engine, MESSAGES, put("a", "A"), put("b", "A"))
        found = await changes(engine, 2)
        assert [each.now.version for each in found.changes] == [5, 6]
        for each in found.changes:
            assert isinstance(each.now, StoredRecord)
            assert each.before == RECORDER.remember(each.now.data)

    async def test_of_a_record_that_came_and_went_in_between_nothing_was_before(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("old"))
        await apply(engine, MESSAGES, put("a"), put("a", "two"))
        await apply(engine, MESSAGES, delete("a"))
        (change,) = (await changes(engine, 1)).changes
        assert isinstance(change.now, Tombstone)
        assert change.before is None

    async def test_all_of_it_may_happen_in_one_batch(self, engine: Engine) -> None:
        one, two = put("a", "one"), put("a", "two")
        await apply(engine, MESSAGES, put("x"), one, two, delete("a"), one, put("b"), delete("b"), two)
        assert await befores(engine, 1) == {"a": None, "b": None}
        expected = {2: state_of(one), 3: state_of(two), 4: None, 5: state_of(one)}
        for since, before in expected.items():
            assert (await befores(engine, since))["a"] == before
        assert (await befores(engine, 6))["b"] == state_of(put("b"))

    async def test_what_changes_nothing_is_not_remembered(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "one"))
        await apply(engine, MESSAGES, structs.replace(put("a", "one"), data=b' {"text":"one","id":"a"}'), delete("b"))
        only = replace(batch_of(MESSAGES, put("a", "two")), append_only=True)
        assert await engine.apply(only) == [Outcome.UNCHANGED]
        assert await changes(engine, 1) == Changes([], [], 1)
        assert await engine.forget(1e12, 100) == 0

    async def test_long_data_is_compared_and_remembered_as_any(self, engine: Engine) -> None:
        long, longer = put("a", "l" * 70_000), put("a", "l" * 80_000)
        await apply(engine, MESSAGES, long, put("b", "l" * 70_000))
        assert await apply(engine, MESSAGES, long) == [Outcome.UNCHANGED]
        assert await apply(engine, MESSAGES, longer, delete("b")) == [Outcome.UPDATED, Outcome.DELETED]
        assert await befores(engine, 2) == {"a": state_of(long), "b": state_of(put("b", "l" * 70_000))}
        assert (await engine.stats())[MESSAGES].bytes == len(longer.data)

    async def test_a_deletion_in_an_append_only_batch_is_remembered(self, engine: Engine) -> None:
        only = replace(batch_of(MESSAGES, put("a", "one"), put("b", "one")), append_only=True)
        await engine.apply(only)
        await engine.apply(replace(only, mutations=[put("b", "two"), delete("a"), put("c"), delete("c")]))
        assert await befores(engine, 2) == {"a": state_of(put("a", "one")), "c": None}

    async def test_pages_of_changes_tell_of_each_key_once_whatever_changes_after_the_horizon(
        self, engine: Engine
    ) -> None:
        await apply(engine, MESSAGES, *map(put, "abcdefghij"))
        for _ in range(3):
            await apply(engine, MESSAGES, put("d", "more"), put("h", "more"), put("d"), put("h"))
        horizon = await version_of(engine, MESSAGES)
        for text in ("then", "later"):
            await apply(engine, MESSAGES, *(put(key, text) for key in "bcdgj"), delete("i"), put("k", text))
        told, overtaken, after = list[str](), list[str](), 0
        while after < horizon:
            page = await engine.changes(MESSAGES, 0, after, horizon, 2)
            told += [each.key for each in page.changes]
            overtaken += [each.key for each in page.overtaken]
            after = page.reached
        assert (told, overtaken) == (list("aefh"), list("bcgijd"))

    async def test_data_that_damage_made_unreadable_can_be_replaced_and_removed(self, engine: Engine) -> None:
        damaged = structs.replace(put("a"), data=b'{"id":')
        await apply(engine, MESSAGES, damaged, structs.replace(damaged, key="b", sort=put("b").sort))
        assert await apply(engine, MESSAGES, put("a", "mended"), delete("b")) == [Outcome.UPDATED, Outcome.DELETED]
        assert await befores(engine, 2) == {"a": Remembered({}, None, "text"), "b": Remembered({}, None, "text")}

    # -- which keys ------------------------------------------------------------------------------------------------

    async def test_changes_come_in_the_order_of_versions_each_key_once(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), put("c"), put("d"))
        await apply(engine, MESSAGES, put("c", "2"), delete("a"), put("d", "2"), put("c", "3"))
        await apply(engine, OTHERS, put("e"))
        found = await changes(engine, 4)
        assert [(each.now.key, each.now.version) for each in found.changes] == [("a", 6), ("d", 7), ("c", 8)]
        assert (found.reached, found.overtaken) == (8, [])

    async def test_the_beginning_has_all_records_and_no_tombstones(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), delete("a"), put("b", "2"), put("c"))
        found = await changes(engine, 0)
        assert [(text_of(each), each.before) for each in found.changes] == [
            (put("b", "2").data.decode(), None),
            (put("c").data.decode(), None),
        ]

    async def test_a_walk_of_any_steps_finds_the_same(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, *(put(f"{n:02}") for n in range(30)))
        await apply(engine, MESSAGES, *(delete(f"{n:02}") for n in range(0, 30, 3)))
        await apply(engine, MESSAGES, *(put(f"{n:02}", "2") for n in range(0, 30, 2)))
        whole = await changes(engine, 10)
        for limit in (1, 2, 7, 100):
            found: list[Change] = []
            reached = 10
            while reached < whole.reached:
                step = await engine.changes(MESSAGES, 10, reached, whole.reached, limit)
                assert len(step.changes) == limit or step.reached == whole.reached
                found += step.changes
                reached = step.reached
            assert found == whole.changes

    async def test_a_step_ends_with_the_record_that_makes_it_too_long(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, *(put(key, "text") for key in "abcd"), delete("b"))
        size = len(put("a", "text").data)
        for most, keys in ((0, "a"), (size - 1, "a"), (size, "ac"), (2 * size, "acd")):
            step = await engine.changes(MESSAGES, 0, 0, 5, 100, max_bytes=most)
            assert [each.now.key for each in step.changes] == list(keys)
            assert step.reached == (5 if keys[-1] == "d" else step.changes[-1].now.version)

    async def test_nothing_changed_in_what_was_never_written_to(self, engine: Engine) -> None:
        assert await changes(engine, 0) == Changes([], [], 0)

    # -- the horizon -----------------------------------------------------------------------------------------------

    async def test_what_is_beyond_the_horizon_is_not_told(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), delete("b"), put("c"))
        found = await changes(engine, 1, horizon=3)
        assert [each.now.key for each in found.changes] == ["b"]
        assert (found.reached, found.overtaken) == (3, [])

    @pytest.mark.parametrize("later", [put("b", "later"), delete("b")])
    async def test_a_key_that_changed_again_beyond_the_horizon_is_overtaken(
        self, engine: Engine, later: Put | Delete
    ) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), put("c"))
        await apply(engine, MESSAGES, put("b", "2"), put("c", "2"), put("a", "2"))
        await apply(engine, MESSAGES, later)
        found = await changes(engine, 3, horizon=6)
        assert [each.now.key for each in found.changes] == ["c", "a"]
        assert (found.reached, found.overtaken) == (6, [Overtaken("b", 4)])
        # The next session tells of it, with what it was before.
        owed = await engine.changes(MESSAGES, 6, 6, 7, 10, owed={"b": 3})
        assert [each.key for each in owed.changes] == ["b"]
        assert owed.changes[0].before == RECORDER.remember(put("b").data)
        assert await befores(engine, 6) == {"b": state_of(put("b", "2"))}

    async def test_a_tombstone_that_is_overtaken_is_told_of(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), delete("a"))
        await apply(engine, MESSAGES, put("a", "again"))
        assert await changes(engine, 2, horizon=3) == Changes([], [Overtaken("a", 3)], 3)

    async def test_only_what_a_step_walked_through_is_overtaken(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("x"), *(put(key) for key in "abcd"))
        await apply(engine, MESSAGES, put("b", "2"), put("d", "2"), put("x", "2"))
        steps = [await engine.changes(MESSAGES, 1, after, 5, 1) for after in (1, 2, 4)]
        assert [[each.now.key for each in step.changes] for step in steps] == [["a"], [], []]
        assert [(step.reached, step.overtaken) for step in steps] == [
            (2, []),
            (3, [Overtaken("b", 3)]),
            (5, [Overtaken("d", 5)]),
        ]

    async def test_what_was_overtaken_comes_step_by_step_too(self, engine: Engine) -> None:
        keys = [f"{n:02}" for n in range(20)]
        await apply(engine, MESSAGES, put("x"), *(put(key) for key in keys))
        await apply(engine, MESSAGES, *(put(key, "2") for key in reversed(keys) if key != "07"))
        walked: list[str] = []
        reached = 1
        while reached < 21:
            step = await engine.changes(MESSAGES, 1, reached, 21, 3)
            found: list[Change | Overtaken] = [*step.changes, *step.overtaken]
            both = sorted(found, key=lambda each: each.version)
            assert len(both) == 3 or step.reached == 21
            assert [each.key for each in step.changes] == [key for key in ["07"] if key in {each.key for each in both}]
            walked += [each.key for each in both]
            reached = step.reached
        assert walked == keys

    async def test_what_changed_before_the_horizon_only_is_not_overtaken(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), put("b", "2"), put("b", "3"))
        found = await changes(engine, 1, horizon=4)
        assert (found.reached, found.overtaken) == (4, [])

    # -- revisions and births --------------------------------------------------------------------------------------

    async def test_a_record_has_no_revisions_before_its_first_change(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), delete("a"), put("a"), put("a"))
        record = await record_of(engine, MESSAGES, "a")
        assert record is not None
        assert record.revisions is None

    async def test_revisions_tell_when_each_field_changed_last(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "one", emitted_at=T1))
        added = structs.replace(put("a", emitted_at=T2), data=b'{"id": "a", "text": "one", "more": 1}')
        await apply(engine, MESSAGES, added)
        for later in (structs.replace(added, data=b'{"id": "a", "text": "two", "more": 1}', emitted_at=T3), put("b")):
            await apply(engine, MESSAGES, later)
        record = await record_of(engine, MESSAGES, "a")
        assert record is not None
        assert record.revisions is not None
        fields = {"more": Revision(2, T2), "text": Revision(3, T3)}
        assert read_revisions(record.revisions) == Revisions(Revision(1, T1), fields)

    # -- erasure ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("key", ["a", None], ids=["record", "stream"])
    async def test_an_erasure_leaves_when_it_was_there_and_its_consent_time_only(
        self, engine: Engine, key: str | None
    ) -> None:
        await apply(engine, MESSAGES, put("x"), put("a", "1"), put("a", "2"), delete("a"), put("a", "3"))
        target = Target(SLACK, "one", "messages", key, "text")
        while not (await engine.erase(target, T2, 1)).finished:
            pass
        grave = await grave_of(engine, "a")
        assert (grave.deleted_at, grave.emitted_at) == (T2, T2)
        expected = {
            1: None,
            2: Remembered(None, "1", "text"),
            3: Remembered(None, "2", "text"),
            4: None,
            5: Remembered(None, "3", "text"),
        }
        for since, before in expected.items():
            assert (await befores(engine, since))["a"] == before

    async def test_what_an_erasure_left_stays_known_when_the_record_comes_again(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "1"))
        await engine.erase(Target(SLACK, "one", "messages", "a", "text"), T2, 10)
        await apply(engine, MESSAGES, put("a", "2"))
        assert await befores(engine, 1) == {"a": Remembered(None, "1", "text")}
        await apply(engine, MESSAGES, delete("a"))
        assert await befores(engine, 1) == {"a": Remembered(None, "1", "text")}

    async def test_an_erasure_without_a_consent_field_keeps_none(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("x"), put("a", "1"))
        await engine.erase(Target(SLACK, "one", "messages", "a"), T2, 10)
        assert await befores(engine, 2) == {"a": Remembered(None, None)}

    async def test_the_past_of_others_stays(self, engine: Engine) -> None:
        for place in (MESSAGES, USERS):
            await apply(engine, place, put("a", "1"), put("b", "1"), put("a", "2"), put("b", "2"))
        await engine.erase(Target(SLACK, "one", "messages", "a"), T2, 10)
        await engine.erase(Target(SLACK, "one", "users"), T2, 10)
        assert await befores(engine, 2) == {"b": state_of(put("b", "1")), "a": Remembered(None, "1", "text")}

    async def test_the_past_of_what_was_deleted_goes_with_its_stream(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "1"), put("a", "2"), delete("a"))
        assert (await engine.erase(Target(SLACK, "one", "messages"), T2, 1)).finished is False
        assert (await engine.erase(Target(SLACK, "one", "messages"), T2, 1)).finished is True
        assert await befores(engine, 1) == {"a": Remembered(None, "1", "text")}

    @pytest.mark.parametrize("target", [Target(SLACK), Target(SLACK, "one")])
    async def test_tokens_from_before_an_instance_was_erased_are_too_old(self, engine: Engine, target: Target) -> None:
        await apply(engine, MESSAGES, put("a", "1"), put("a", "2"), put("b"), delete("b"))
        await apply(engine, MAILS, put("a"))
        while not (await engine.erase(target, T2, 1)).finished:
            pass
        floors = {place: (of.floor, of.version) for place, of in (await engine.stats()).items()}
        assert floors == {MESSAGES: (4, 4), MAILS: (0, 1)}
        assert await engine.forget(1e12, 100) == 0
        await apply(engine, MESSAGES, put("a", "1"))
        assert await befores(engine, 4) == {"a": None}

    # -- retention -------------------------------------------------------------------------------------------------

    async def test_what_is_older_than_a_moment_is_forgotten(self, engine: Engine, clock: Clock) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), put("c"))
        clock.now = 100.0
        await apply(engine, MESSAGES, put("a", "2"), delete("b"))
        clock.now = 200.0
        await apply(engine, MESSAGES, put("a", "3"), delete("c"))
        assert await engine.forget(100.0, 100) == 0
        assert (await engine.stats())[MESSAGES].floor == 0
        assert await engine.forget(100.5, 100) == 3
        assert (await engine.stats())[MESSAGES].floor == 5
        assert await befores(engine, 5) == {"a": state_of(put("a", "2")), "c": state_of(put("c"))}
        assert await engine.forget(200.5, 100) == 3
        assert (await engine.stats())[MESSAGES].floor == 7
        assert await keys_changed(engine, 7) == []

    async def test_what_tokens_above_the_floor_need_is_not_forgotten(self, engine: Engine, clock: Clock) -> None:
        await apply(engine, MESSAGES, *(put(key, "1") for key in "abc"))
        for n, key in enumerate("abcab"):
            clock.now = 100.0 * n
            await apply(engine, MESSAGES, put(key, f"2 {n}"))
        whole = {since: await befores(engine, since) for since in range(1, 9)}
        for n in range(5):
            assert await engine.forget(100.0 * n + 1, 100) == 1
            floor = (await engine.stats())[MESSAGES].floor
            assert floor == 4 + n
            assert {since: await befores(engine, since) for since in range(floor, 9)} == {
                since: whole[since] for since in range(floor, 9)
            }

    async def test_forgetting_goes_step_by_step_the_oldest_first(self, engine: Engine) -> None:
        for place in (MESSAGES, MAILS):
            await apply(engine, place, put("a"), *(put("a", str(n)) for n in range(5)))
        steps = []
        while count := await engine.forget(1e12, 3):
            steps.append((count, *(of.floor for of in (await engine.stats()).values())))
        assert steps == [(3, 4, 0), (3, 6, 2), (3, 6, 5), (1, 6, 6)]

    async def test_records_are_not_forgotten(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "1"), put("a", "2"), delete("a"), put("a", "3"))
        before = await record_of(engine, MESSAGES, "a")
        assert await engine.forget(1e12, 100) == 3
        assert await record_of(engine, MESSAGES, "a") == before
        assert [text_of(each) for each in (await changes(engine, 0)).changes] == [put("a", "3").data.decode()]

    async def test_a_record_comes_back_after_its_tombstone_was_forgotten(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "1"), delete("a"))
        await engine.forget(1e12, 100)
        assert await apply(engine, MESSAGES, put("a", "2")) == [Outcome.CREATED]
        assert await befores(engine, 2) == {"a": None}
        assert await engine.forget(1e12, 100) == 0
