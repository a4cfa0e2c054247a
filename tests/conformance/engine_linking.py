"""What every record engine says of the links that an erasure would take, and of those beside."""

import pytest

from records.engine import Engine
from records.model import Linking, Partition, PlacedLink, Target
from tests.conformance.engine_values import (
    MAILS,
    MESSAGES,
    OTHERS,
    SLACK,
    USERS,
    apply,
    digest_of,
    link_of,
    put,
)

ONE, TWO, THREE = digest_of(1), digest_of(2), digest_of(3)


async def fill(engine: Engine) -> None:
    await apply(
        engine, MESSAGES, put("a", "", link_of(1, "/x"), link_of(1, "/y"), link_of(2)), put("b", "", link_of(1))
    )
    await apply(engine, USERS, put("a", "", link_of(2)), put("c", "", link_of(3)))
    await apply(engine, OTHERS, put("a", "", link_of(3)))
    await apply(engine, MAILS, put("a", "", link_of(1)))


def places(links: list[PlacedLink]) -> list[tuple[Partition, str, str, int]]:
    return [(each.partition, each.key, each.link.pointer, int(str(each.link.digest)[-1])) for each in links]


class EngineLinking:
    @pytest.mark.parametrize(
        ("target", "first"),
        [
            (Target(SLACK, "one", "messages", "a"), [(MESSAGES, "a", "/file", 2), (MESSAGES, "a", "/x", 1)]),
            (Target(SLACK, "one", "messages", "b"), [(MESSAGES, "b", "/file", 1)]),
            (Target(SLACK, "one", "messages"), [(MESSAGES, "a", "/file", 2), (MESSAGES, "a", "/x", 1)]),
            (
                Target(SLACK, "one"),
                [(MESSAGES, "a", "/file", 2), (MESSAGES, "a", "/x", 1), (USERS, "c", "/file", 3)],
            ),
            (
                Target(SLACK, None, "messages", "a"),
                [(MESSAGES, "a", "/file", 2), (MESSAGES, "a", "/x", 1), (OTHERS, "a", "/file", 3)],
            ),
            (Target(SLACK, None, "users"), [(USERS, "a", "/file", 2), (USERS, "c", "/file", 3)]),
            (Target("nobody"), []),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 2, 10])
    async def test_each_blob_of_a_target_is_told_once_by_its_first_link(
        self, engine: Engine, target: Target, first: list[tuple[Partition, str, str, int]], limit: int
    ) -> None:
        await fill(engine)
        found: list[PlacedLink] = []
        after = None
        while page := await engine.first_links(target, after, limit):
            assert len(page) <= limit
            found += page
            after = page[-1].partition, page[-1].key, page[-1].link.pointer
        assert places(found) == first

    @pytest.mark.parametrize("key", [None, ""])
    async def test_the_link_that_comes_before_all_others_is_told_too(self, engine: Engine, key: str | None) -> None:
        await apply(engine, MESSAGES, put("", "", link_of(0, ""), link_of(1, "/x")))
        target = Target(SLACK, "one", "messages", key)
        first, second = await engine.first_links(target, None, 10)
        assert places([first, second]) == [(MESSAGES, "", "", 0), (MESSAGES, "", "/x", 1)]
        assert await engine.first_links(target, (MESSAGES, "", ""), 10) == [second]

    async def test_links_within_a_target_are_told_from_those_beside(self, engine: Engine) -> None:
        await fill(engine)
        every = [THREE, ONE, TWO, digest_of(9)]
        assert await engine.linking(Target(SLACK, "one", "messages"), every) == [
            Linking(ONE, MESSAGES, within=True, beside=False),
            Linking(TWO, MESSAGES, within=True, beside=False),
            Linking(TWO, USERS, within=False, beside=True),
            Linking(THREE, USERS, within=False, beside=True),
            Linking(THREE, OTHERS, within=False, beside=True),
        ]
        assert await engine.linking(Target("nobody"), every) == []

    @pytest.mark.parametrize(
        ("key", "within", "beside"), [("a", True, True), ("b", True, True), ("c", False, True), ("0", False, True)]
    )
    async def test_records_of_one_stream_are_told_apart(
        self, engine: Engine, key: str, within: bool, beside: bool
    ) -> None:
        await fill(engine)
        assert await engine.linking(Target(SLACK, "one", "messages", key), [ONE]) == [
            Linking(ONE, MESSAGES, within, beside)
        ]

    async def test_the_only_record_that_links_a_blob_has_none_beside(self, engine: Engine) -> None:
        await fill(engine)
        assert await engine.linking(Target(SLACK, "one", "users", "c"), [THREE]) == [
            Linking(THREE, USERS, within=True, beside=False),
            Linking(THREE, OTHERS, within=False, beside=True),
        ]
