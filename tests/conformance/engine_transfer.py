"""What every record engine does for a connector on its way to another: copies, marks, the moment it leaves."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from blobstore.errors import Moved
from records.engine import Engine, Engines
from records.model import Order, Partition, Target
from records.moving.copying import copy_piece, throw_away
from records.transfer import NEW, Held, Mark, Piece, Stage, taking
from tests.conformance.engine_values import (
    GMAIL,
    MAILS,
    MESSAGES,
    OTHERS,
    SLACK,
    T2,
    T3,
    USERS,
    Clock,
    apply,
    batch_of,
    delete,
    digest_of,
    link_of,
    put,
    record_of,
)

PLACES = (MESSAGES, USERS, OTHERS)


async def answers(engine: Engine, connector: str) -> dict[object, Any]:
    """All that the port tells of a connector, marks aside."""
    engine = engine.regardless()
    stats = await engine.stats(connector)
    found: dict[object, Any] = {"stats": stats, "release epoch": await engine.release_epoch(connector)}
    for order in Order:
        found[order] = await engine.page(list(stats), order, None, 10_000)
    for place, of in stats.items():
        found["epoch", place] = await engine.epoch(place)
        for since in {0, *range(of.floor, of.version + 1)} if of.version - of.floor < 50 else {0, of.floor}:
            found["changes", place, since] = await engine.changes(place, since, since, of.version, 10_000)
            owed = {key: version for key in "abc" for version in [max(of.floor, since - 1)] if since > of.floor}
            found["owed", place, since] = await engine.changes(place, since, since, of.version, 100, owed=owed)
        found["links", place] = [await engine.links_in(place, each.key) for each in found[Order.ASC].records]
    found["unlinked"] = await engine.unlinked(1000, connector)
    found["linked"] = await engine.linked(connector, None, 1000)
    found["erased"] = [
        {place: count for place, count in (await engine.erased(erasure)).items() if place.connector == connector}
        for erasure in ("e1", "e2")
    ]
    found["kept"] = await engine.extract(connector, {}, lambda state, items: (replace(state, base=0), list(items)))
    return found


async def move(source: Engine, target: Engine, connector: str, items: int = 3) -> None:
    """As a move does it, without anything that goes on beside it."""
    piece = None
    while piece is None or not piece.whole:
        piece = await copy_piece(source, target, connector, "source", items=items)
    assert await target.load("source", await left(source, target, connector))
    await target.unmark(connector)


async def left(source: Engine, target: Engine, connector: str) -> Piece:
    since = {place: of.version for place, of in (await target.regardless().stats(connector)).items()}
    return await source.leave(connector, "target", since, taking(since))


async def whole(engine: Engine, connector: str) -> Piece:
    return await engine.extract(connector, {}, taking({}))


async def full_history(engine: Engine, clock: Clock) -> None:
    """A little of everything that can happen to a connector, and a neighbour that stays."""
    await apply(engine, MAILS, put("a", "mail", link_of(1)), put("b"))
    await apply(
        engine, MESSAGES, *(put(key, key, link_of(n), link_of(n + 1, "/x", "ü\0")) for n, key in enumerate("abcdef"))
    )
    clock.now = 5
    await apply(engine, MESSAGES, put("a", "new", at="2026"), delete("b"), put("c", "other", link_of(9), emitted_at=T3))
    await apply(engine, MESSAGES, put("b", "again"), delete("d"), put("a", "newer"))
    await apply(engine, USERS, put("a\0", at=7), put("é", at=None), put("b", "", link_of(3)))
    await apply(engine, OTHERS, put("a", "", link_of(4)), delete("a"), put("z"))
    await engine.recount(SLACK, [digest_of(4)])
    await engine.fence(SLACK, "two")
    await engine.fence(SLACK, None)
    clock.now = 9
    await engine.erase(Target(SLACK, "one", "users", "b", "text"), T2, 10, "e1")
    await engine.erase(Target(SLACK, "two"), T2, 10, "e2")
    await apply(engine, OTHERS, put("y", "after"))
    await engine.forget(5, 2)


Ask = Callable[[Engine], Awaitable[object]]

NAMING: list[Ask] = [
    lambda engine: engine.epoch(MESSAGES),
    lambda engine: engine.release_epoch(SLACK),
    lambda engine: engine.apply(batch_of(MESSAGES, put("a", "late"))),
    lambda engine: engine.get([MAILS, MESSAGES], ["a"]),
    lambda engine: engine.page([MESSAGES, MAILS], Order.ASC, None, 1),
    lambda engine: engine.changes(MESSAGES, 0, 0, 9, 9),
    lambda engine: engine.visit([MESSAGES], lambda records: list(records)),
    lambda engine: engine.sample(MESSAGES, [1]),
    lambda engine: engine.stats(SLACK),
    lambda engine: engine.links_in(MESSAGES, "a"),
    lambda engine: engine.linked(SLACK, None, 1),
    lambda engine: engine.first_links(Target(SLACK), None, 1),
    lambda engine: engine.linking(Target(SLACK), [digest_of(1)]),
    lambda engine: engine.relink(MESSAGES, "a", 1, [], 0),
    lambda engine: engine.recount(SLACK, []),
    lambda engine: engine.unlinked(1, SLACK),
    lambda engine: engine.notes(SLACK, [digest_of(1)]),
    lambda engine: engine.fence(SLACK, None),
    lambda engine: engine.erase(Target(SLACK), T2, 1),
]


class EngineTransfer:
    @pytest.fixture
    async def other(self, engines: Engines) -> Engine:
        """Another engine of the same kind."""
        return await engines.of("another")

    # -- copies ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("items", [1, 4, 1000])
    async def test_a_connector_that_moved_answers_as_it_did(
        self, engine: Engine, other: Engine, clock: Clock, items: int
    ) -> None:
        await full_history(engine, clock)
        before, neighbour = await answers(engine, SLACK), await answers(engine, GMAIL)
        await move(engine, other, SLACK, items)
        assert await answers(other, SLACK) == before
        assert await answers(engine, GMAIL) == neighbour
        assert await other.check() == []
        await apply(other, MESSAGES, put("new"))
        assert (await other.stats())[MESSAGES].version == before["stats"][MESSAGES].version + 1

    async def test_what_changes_while_it_is_copied_comes_with_a_later_piece(
        self, engine: Engine, other: Engine, clock: Clock
    ) -> None:
        await full_history(engine, clock)
        while (piece := await copy_piece(engine, other, SLACK, "source", items=2)) and not piece.whole:
            version = piece.state.partitions[MESSAGES].version
            if version < 40:
                changes = (
                    put("a", f"{version}", link_of(version)),
                    delete("c"),
                    put("c", "back"),
                    put("f", f"{version}"),
                )
                await apply(engine, MESSAGES, *changes[: version % 5])
                await apply(engine, USERS, put("é", f"{version}"), delete("a\0", T2) if version % 2 else put("a\0"))
            assert await other.check() == []
        await apply(engine, Partition(SLACK, "three", "new"), put("a"))
        await move(engine, other, SLACK)
        assert await answers(other, SLACK) == await answers(engine, SLACK)

    async def test_a_piece_may_be_loaded_again_and_late(self, engine: Engine, other: Engine, clock: Clock) -> None:
        await full_history(engine, clock)
        first = await engine.extract(SLACK, {}, taking({}, 4))
        assert await other.load("source", first)
        every = await whole(engine, SLACK)
        assert await other.load("source", every)
        assert await other.load("source", every)
        assert await other.load("source", first)
        assert await answers(other, SLACK) == await answers(engine, SLACK)

    async def test_a_piece_that_leaves_a_gap_is_refused(self, engine: Engine, other: Engine, clock: Clock) -> None:
        await full_history(engine, clock)
        since = {MESSAGES: 3}
        assert not await other.load("source", await engine.extract(SLACK, since, taking(since)))
        assert await other.stats() == {}
        assert await other.marks() == []

    async def test_a_piece_has_about_as_many_items_and_bytes_as_are_asked_for(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, *(put(f"{n}", "x" * 1000) for n in range(9)))
        few = await engine.extract(SLACK, {}, taking({}, 4))
        small = await engine.extract(SLACK, {MESSAGES: 4}, taking({MESSAGES: 4}, None, 2500))
        assert [each.version for each in few.items] == [1, 2, 3, 4]
        assert [each.version for each in small.items] == [5, 6, 7]
        assert (few.reached, small.reached) == ({MESSAGES: 4}, {MESSAGES: 7})
        assert not few.whole

    async def test_a_connector_of_which_nothing_is_kept_has_nothing_to_move(
        self, engine: Engine, other: Engine
    ) -> None:
        piece = await whole(engine, SLACK)
        assert (piece.items, piece.reached, piece.whole) == ([], {}, True)
        assert await other.load("source", piece)

    async def test_versions_go_on_from_a_leap_in_the_copy_too(self, engine: Engine, other: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), delete("b"))
        await engine.leap()
        await move(engine, other, SLACK, items=1)
        await apply(engine.regardless(), USERS, put("a"))
        await apply(other, USERS, put("a"))
        assert await other.stats() == await engine.stats()

    async def test_what_was_forgotten_meanwhile_is_forgotten_in_the_copy(
        self, engine: Engine, other: Engine, clock: Clock
    ) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), put("a", "2"), delete("b"), put("c"))
        assert await copy_piece(engine, other, SLACK, "source")
        clock.now = 10
        await apply(engine, MESSAGES, put("c", "2"))
        await engine.forget(10, 100)
        assert await copy_piece(engine, other, SLACK, "source")
        assert await answers(other, SLACK) == await answers(engine, SLACK)

    async def test_a_deletion_that_was_forgotten_before_it_was_copied_begins_the_copy_again(
        self, engine: Engine, other: Engine
    ) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"))
        assert await copy_piece(engine, other, SLACK, "source")
        await apply(engine, MESSAGES, delete("a"))
        await engine.forget(10, 100)
        assert await copy_piece(engine, other, SLACK, "source") is None
        assert await copy_piece(engine, other, SLACK, "source")
        assert await answers(other, SLACK) == await answers(engine, SLACK)

    # -- disturbances ----------------------------------------------------------------------------------------------

    async def test_an_erasure_begins_the_copy_again(self, engine: Engine, other: Engine, clock: Clock) -> None:
        await full_history(engine, clock)
        assert await copy_piece(engine, other, SLACK, "source")
        await engine.erase(Target(SLACK, "one", "messages", "a"), T2, 10)
        assert await copy_piece(engine, other, SLACK, "source") is None
        assert await other.stats() == {}
        await move(engine, other, SLACK)
        assert await answers(other, SLACK) == await answers(engine, SLACK)

    async def test_mended_links_begin_the_copy_again(self, engine: Engine, other: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)))
        assert await copy_piece(engine, other, SLACK, "source")
        await engine.relink(MESSAGES, "a", 1, [link_of(2)], 0)
        assert await copy_piece(engine, other, SLACK, "source") is None
        assert await copy_piece(engine, other, SLACK, "source")
        assert await answers(other, SLACK) == await answers(engine, SLACK)

    async def test_a_leap_begins_the_copy_again(self, engine: Engine, other: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        assert await copy_piece(engine, other, SLACK, "source")
        await engine.leap()
        assert await copy_piece(engine, other, SLACK, "source") is None

    async def test_what_was_read_before_an_erasure_is_not_loaded_after_the_copy_was_discarded(
        self, engine: Engine, other: Engine
    ) -> None:
        await apply(engine, MESSAGES, put("a", "secret"))
        early = await whole(engine, SLACK)
        await engine.erase(Target(SLACK, "one", "messages"), T2, 10)
        disturbances = (await whole(engine, SLACK)).state.disturbances
        assert disturbances > early.state.disturbances
        await throw_away(other, SLACK, disturbances)
        assert not await other.load("source", early)
        assert await copy_piece(engine, other, SLACK, "source")
        assert await answers(other, SLACK) == await answers(engine, SLACK)

    async def test_nothing_of_what_is_discarded_is_left(self, engine: Engine, other: Engine, clock: Clock) -> None:
        await full_history(engine, clock)
        await engine.mark(Mark(SLACK, Stage.LEFT, "target"))
        while not await engine.discard(SLACK, 0, 2):
            assert await engine.check() == []
        assert await engine.connectors() == [GMAIL]
        assert set(await engine.stats()) == {MAILS}
        assert await engine.erased("e1") == {}
        assert await engine.marks() == [Mark(SLACK, Stage.LEFT, "target")]
        assert (await whole(engine, SLACK)).items == []

    async def test_to_half_of_a_copy_nothing_is_added(self, engine: Engine, other: Engine, clock: Clock) -> None:
        await full_history(engine, clock)
        await move(engine, other, SLACK)
        await other.mark(Mark(SLACK, Stage.COMING, "source"))
        piece = await whole(engine, SLACK)
        while not await other.discard(SLACK, piece.state.disturbances, 2):
            assert not await other.load("source", piece)
        assert await other.load("source", piece)
        assert (await answers(other, SLACK))["stats"] == (await answers(engine, SLACK))["stats"]

    async def test_what_is_served_here_is_neither_discarded_nor_loaded(self, engine: Engine, other: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await apply(other, MESSAGES, put("b"))
        for stage in (None, Stage.LEAVING):
            if stage is not None:
                await engine.mark(Mark(SLACK, stage, "target"))
            with pytest.raises(ValueError, match="served here"):
                await engine.discard(SLACK, 0, 10)
            with pytest.raises(ValueError, match="served here"):
                await engine.load("source", await whole(other, SLACK))
        assert await record_of(engine, MESSAGES, "a") is not None

    # -- marks -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("stage", [Stage.LEFT, Stage.COMING])
    async def test_whoever_names_what_is_not_here_is_told_so(self, engine: Engine, stage: Stage) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)))
        before = await answers(engine, SLACK)
        await engine.mark(Mark(SLACK, stage, "elsewhere"))
        for ask in NAMING:
            with pytest.raises(Moved):
                await ask(engine)
        assert await answers(engine, SLACK) == before
        await engine.unmark(SLACK)
        for ask in NAMING:
            await ask(engine)

    async def test_others_and_whoever_does_not_heed_marks_are_answered(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await apply(engine, MAILS, put("a"))
        await engine.mark(Mark(SLACK, Stage.LEFT, "elsewhere"))
        assert await record_of(engine, MAILS, "a") is not None
        assert await record_of(engine.regardless(), MESSAGES, "a") is not None
        assert set(await engine.stats()) == {MESSAGES, MAILS}

    async def test_what_is_being_copied_is_served_as_ever(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await engine.mark(Mark(SLACK, Stage.LEAVING, "elsewhere"))
        for ask in NAMING:
            await ask(engine)
        assert await engine.marks() == [Mark(SLACK, Stage.LEAVING, "elsewhere")]

    async def test_the_marks_of_one_connector_are_told_without_those_of_others(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await apply(engine, MAILS, put("a"))
        for connector in (SLACK, GMAIL):
            await engine.mark(Mark(connector, Stage.LEAVING, "elsewhere"))
        assert await engine.marks(SLACK) == [Mark(SLACK, Stage.LEAVING, "elsewhere")]
        assert await engine.marks("nobody") == []
        assert await engine.marks(NEW) == []

    async def test_connectors_that_are_new_may_be_turned_away(self, engine: Engine) -> None:
        await apply(engine, MAILS, put("a"))
        await engine.mark(Mark(NEW, Stage.LEFT, "elsewhere"))
        for ask in NAMING:
            with pytest.raises(Moved):
                await ask(engine)
        assert await record_of(engine, MAILS, "a") is not None
        assert await engine.connectors() == [GMAIL]

    async def test_no_change_comes_after_what_was_seen_when_a_connector_left(
        self, engine: Engine, other: Engine
    ) -> None:
        await apply(engine, MESSAGES, put("a"))
        await copy_piece(engine, other, SLACK, "source")
        await apply(engine, MESSAGES, put("b"))
        piece = await left(engine, other, SLACK)
        assert [each.record.key for each in piece.items if isinstance(each, Held)] == ["b"]
        with pytest.raises(Moved):
            await apply(engine, MESSAGES, put("c"))
        assert await engine.marks() == [Mark(SLACK, Stage.LEFT, "target")]

    async def test_a_connector_stays_where_looking_at_it_fails(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        with pytest.raises(ZeroDivisionError):
            await engine.leave(SLACK, "target", {}, lambda state, items: 1 // 0)
        assert await engine.marks() == []
        await apply(engine, MESSAGES, put("b"))

    async def test_what_has_left_forgets_nothing_any_more(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), delete("a"))
        await engine.mark(Mark(SLACK, Stage.LEFT, "elsewhere"))
        assert await engine.forget(10, 100) == 0
        await engine.unmark(SLACK)
        assert await engine.forget(10, 100) == 2

    async def test_a_connector_may_come_back(self, engine: Engine, other: Engine, clock: Clock) -> None:
        await full_history(engine, clock)
        before = await answers(engine, SLACK)
        await move(engine, other, SLACK)
        await move(other, engine, SLACK)  # where its rows still are
        assert await answers(engine, SLACK) == before
        await move(engine, other, SLACK)
        await throw_away(engine, SLACK)
        await apply(other, MESSAGES, put("new"))
        await move(other, engine, SLACK)
        assert await answers(engine, SLACK) == await answers(other, SLACK)
