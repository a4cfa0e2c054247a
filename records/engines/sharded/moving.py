"""Moving connectors to and from other engines: each as a whole is in one shard, so its shard does it."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Self, TypeVar

from records.engine import Engine
from records.engines.sharded.routing import HERE, Routing
from records.model import Partition
from records.transfer import NEW, Item, Mark, Piece, Stage, State

T = TypeVar("T")


class Moving(Routing):
    """The part of the port that moves connectors."""

    async def connectors(self) -> list[str]:
        answers = await self._ask_all(await self._homes.now(), lambda _, engine: engine.connectors())
        return sorted({*await self._main.connectors(), *(each for some in answers.values() for each in some)})

    async def marks(self, connector: str | None = None) -> list[Mark]:
        if connector is not None and connector in await self._homes.now():
            return await self._ask(connector, lambda engine: engine.regardless().marks(connector))
        if connector is not None:
            return [mark for mark in await self._main.marks(connector) if (mark.connector, mark.other) != (NEW, HERE)]
        answers = await self._ask_all(await self._homes.now(), lambda _, engine: engine.marks())
        found = [mark for marks in answers.values() for mark in marks]
        for mark in await self._main.marks():  # of what has a home, the home alone tells
            if mark.connector not in answers and not (mark.connector == NEW and mark.other == HERE):
                found.append(mark)
        return sorted(found)

    async def mark(self, mark: Mark) -> None:
        if mark.connector == NEW:
            await self._main.mark(mark)
        else:
            await self._tell(mark.connector, lambda engine: engine.mark(mark))

    async def unmark(self, connector: str) -> None:
        if connector == NEW:
            await self._main.mark(Mark(NEW, Stage.LEFT, HERE))
        elif connector in await self.connectors():
            await self._tell(connector, lambda engine: engine.unmark(connector))

    def regardless(self) -> Self:
        other = copy.copy(self)
        other._main, other._regardless = self._main.regardless(), True
        return other

    async def extract(
        self, connector: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        async def extract(engine: Engine) -> T:
            return await engine.extract(connector, since, see)

        return await self._ask(connector, extract)

    async def leave(
        self, connector: str, to: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        async def leave(engine: Engine) -> T:
            return await engine.leave(connector, to, since, see)

        return await self._tell(connector, leave)

    async def load(self, source: str, piece: Piece) -> bool:
        return await self._tell(piece.state.connector, lambda engine: engine.load(source, piece))

    async def discard(self, connector: str, disturbances: int, limit: int) -> bool:
        return await self._tell(connector, lambda engine: engine.discard(connector, disturbances, limit))
