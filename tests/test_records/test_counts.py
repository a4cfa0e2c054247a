"""Counts for clients: what they cost."""

import asyncio

from records.central import Owner
from records.consent.scope import Grant, Scope, StreamGrant
from records.engines.memory import MemoryEngine
from records.model import Page
from records.reading.counts import Count, Counts
from tests.conformance.engine_values import MESSAGES, SLACK, T1, apply, put


class Counting(MemoryEngine):
    """Counts the pages that are read."""

    pages = 0

    async def page(self, *args: object, **options: object) -> Page:
        self.pages += 1
        await asyncio.sleep(0)
        return await super().page(*args, **options)  # type: ignore[arg-type]  # as they came


def scope(*keys: str) -> Scope:
    bounds = StreamGrant("messages", frozenset({"one"}), frozenset({"id"}), None, frozenset(keys))
    return Scope(Owner("o", "ada"), Grant("g", "app", SLACK, "continuous", {"messages": bounds}))


async def filled() -> Counting:
    engine = Counting()
    await apply(engine, MESSAGES, *(put(key) for key in "abc"))
    return engine


async def test_requests_that_come_together_share_one_look() -> None:
    engine, counts = await filled(), Counts()
    stats = (await engine.stats())[MESSAGES]
    asking = [asyncio.create_task(counts.of(engine, scope("a", "b"), MESSAGES, stats)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    assert await asyncio.gather(*asking[1:]) == [Count(2, T1)] * 4
    assert await counts.of(engine, scope("a", "b"), MESSAGES, stats) == Count(2, T1)
    assert engine.pages == 1


async def test_a_grant_that_became_another_is_counted_anew() -> None:
    engine, counts = await filled(), Counts()
    stats = (await engine.stats())[MESSAGES]
    assert await counts.of(engine, scope("a", "b"), MESSAGES, stats) == Count(2, T1)
    assert await counts.of(engine, scope("a"), MESSAGES, stats) == Count(1, T1)
