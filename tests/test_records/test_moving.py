"""One connector from one engine into another, while it is written to, and whatever fails."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest

from blobstore.errors import Moved, StorageUnavailable
from records.engine import Engine
from records.engines.memory import MemoryEngine
from records.engines.sqlite import SqliteEngine
from records.model import Target
from records.moving import copying
from records.moving.checking import Differs, check_copy
from records.moving.switching import Ends, Switched, switch
from records.transfer import Stage
from tests.conformance.engine_transfer import answers, full_history
from tests.conformance.engine_values import MESSAGES, SLACK, T2, USERS, Clock, apply, delete, link_of, put, record_of

P = ParamSpec("P")
T = TypeVar("T")


class Homes:
    """Where the connector is, and whoever goes there."""

    def __init__(self, source: Engine, target: Engine) -> None:
        self.ends = Ends(source, target, "source", "target")
        self.home = source

    async def flip(self) -> None:
        await asyncio.sleep(0)
        self.home = self.ends.target

    async def move(self) -> Switched:
        return await switch(self.ends, SLACK, self.flip, lambda rows: None)

    async def do(self, call: Callable[Concatenate[Engine, P], Awaitable[T]], *of: P.args, **named: P.kwargs) -> T:
        while True:
            home = self.home
            try:
                return await call(home, *of, **named)
            except Moved:
                await asyncio.sleep(0.001)

    async def mend(self) -> None:
        """As whoever finds a mark of a mover that died."""
        await self.home.unmark(SLACK)


class Failing:
    """An engine of which the n-th call of the move fails, before it is done or after."""

    def __init__(self, engine: Engine, countdown: list[int], after: bool) -> None:
        self._engine, self._countdown, self._after = engine, countdown, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._engine, name)
        if not asyncio.iscoroutinefunction(method):
            return lambda *args: Failing(method(*args), self._countdown, self._after)

        async def call(*args: Any) -> Any:
            self._countdown[0] -= 1
            if self._countdown[0] <= 0 and not self._after:
                raise StorageUnavailable("it died")
            result = await method(*args)
            if self._countdown[0] <= 0:
                raise StorageUnavailable("it died")
            return result

        return call


@pytest.fixture
async def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Homes]:
    monkeypatch.setattr(copying, "ITEMS", 3)
    clock = Clock()
    source, target = (
        await SqliteEngine.open(tmp_path / "a.db", clock),
        await SqliteEngine.open(tmp_path / "b.db", clock),
    )
    await full_history(source, clock)
    yield Homes(source, target)
    assert [*await source.check(), *await target.check()] == []
    await source.close()
    await target.close()


async def test_what_moved_answers_at_the_other_end_as_it_did(homes: Homes) -> None:
    before = await answers(homes.home, SLACK)
    moved = await homes.move()
    assert homes.home is homes.ends.target
    assert await answers(homes.home, SLACK) == before
    assert {place: of.records for place, of in moved.checked.items()} == {
        place: of.records for place, of in before["stats"].items()
    }
    with pytest.raises(Moved):
        await apply(homes.ends.source, MESSAGES, put("late"))
    await apply(homes.home, MESSAGES, put("new"))


async def test_nothing_that_was_acknowledged_is_lost_and_nothing_is_done_twice(
    homes: Homes, rng: random.Random
) -> None:
    known: dict[str, str | None] = {}
    stop = asyncio.Event()

    async def write(name: str) -> None:
        while not stop.is_set():
            key, text = f"{name}{rng.randrange(20)}", str(rng.random())
            change = delete(key) if rng.random() < 0.2 else put(key, text, link_of(rng.randrange(9)))
            await homes.do(apply, USERS, change)
            known[key] = None if change == delete(key) else text
            found = await homes.do(record_of, USERS, key)
            assert (found is None) == (known[key] is None)
            await asyncio.sleep(0)

    writers = [asyncio.create_task(write(name)) for name in "xyz"]
    await asyncio.sleep(0.1)
    await homes.move()
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*writers)
    for key, text in known.items():
        found = await record_of(homes.home, USERS, key)
        assert found is None or (text is not None and text.encode() in found.data)
        assert (found is None) == (text is None)
    assert known


async def test_an_erasure_beside_it_is_in_the_copy(homes: Homes) -> None:
    async def erase(engine: Engine, key: str) -> None:
        await engine.erase(Target(SLACK, "one", "messages", key), T2, 10)

    moving = asyncio.create_task(homes.move())
    for key in "acf":
        await homes.do(erase, key)
        await asyncio.sleep(0.005)
    await moving
    assert [await record_of(homes.home, MESSAGES, key) for key in "acf"] == [None] * 3


@pytest.mark.parametrize("end", ["source", "target"])
@pytest.mark.parametrize("after", [False, True])
async def test_whatever_fails_it_goes_on_in_one_place_and_can_be_moved_again(
    tmp_path: Path, end: str, after: bool
) -> None:
    step, died = 0, True
    while died:
        step += 1
        clock = Clock()
        source, target = MemoryEngine(clock), MemoryEngine(clock)
        await full_history(source, clock)
        homes, before = Homes(source, target), await answers(source, SLACK)
        failing: dict[str, Any] = {end: Failing(getattr(homes.ends, end), [step], after)}
        ends = Ends(**{"source": source, "target": target, "origin": "source", "to": "target", **failing})
        died = False
        try:
            await switch(ends, SLACK, homes.flip, lambda rows: None)
        except StorageUnavailable:
            died = True
        await homes.mend()
        assert await answers(homes.home, SLACK) == before
        await apply(homes.home, MESSAGES, put(f"{step}"))
        if homes.home is source:
            await homes.move()
        assert (await answers(target, SLACK))["stats"][MESSAGES].version == before["stats"][MESSAGES].version + 1
    assert step > 5


async def test_a_copy_that_differs_does_not_take_its_sources_place(homes: Homes) -> None:
    source, target = homes.ends.source, homes.ends.target
    while not (piece := await copying.copy_piece(source, target, SLACK, "source")) or not piece.whole:
        pass
    await target._file.execute("UPDATE records SET data = replace(data, 'again', 'agaim')")  # type: ignore[attr-defined]
    with pytest.raises(Differs, match="one/messages"):
        await homes.move()
    assert [mark.stage for mark in await source.marks()] == [Stage.LEAVING]


async def test_what_is_checked_may_change_meanwhile(homes: Homes) -> None:
    source, target = homes.ends.source, homes.ends.target
    while not (piece := await copying.copy_piece(source, target, SLACK, "source")) or not piece.whole:
        pass
    disturbances = piece.state.disturbances
    before = await check_copy(source, target, SLACK, disturbances)
    await apply(source, MESSAGES, put("a", "changed since"), delete("c"))
    after = await check_copy(source, target, SLACK, disturbances)
    assert before is not None
    assert after is not None
    assert before[USERS] == after[USERS]
    assert before[MESSAGES].records == after[MESSAGES].records + 2
    await source.erase(Target(SLACK, "one", "messages", "f"), T2, 1)
    assert await check_copy(source, target, SLACK, disturbances) is None
