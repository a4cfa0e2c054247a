"""An owner's records in files, wherever each connector lives at this moment: the port, without `Moved`.

A move leaves marks where a connector has left, or is not yet; the central store says where it lives. Whoever meets a
mark asks there, and goes on where the connector is. While it is being switched, and the central store still names the
place that has been marked, readers read there all the same: nobody has written elsewhere. They look at the end
whether it is still so. Writers wait, which takes no longer than the switch: a mark whose mover has died is taken back
by whoever finds it (`marks`).

As long as all connectors live in one file, that file is asked directly, and nothing else.
"""

from collections.abc import Awaitable, Callable, Iterable

from blobstore.errors import Moved
from records.engine import Engine
from records.engines.sharded import ShardedEngine
from records.model import Erased, Target
from records.moving.marks import drop_copies, is_divided, mend
from records.moving.routed import Call, RoutedEngine, T


class MovableEngine(RoutedEngine):
    """Adapter of `records.engine.Engine` over one file and, once it is divided, its shards."""

    def __init__(self, whole: Engine | None, divided: Callable[[], Awaitable[ShardedEngine]]) -> None:
        self._whole = whole
        self._divide = divided

    # -- where to ask ----------------------------------------------------------------------------------------------

    async def _read(self, connectors: Iterable[str], call: Call[T]) -> T:
        if self._whole is not None:
            try:
                return await call(self._whole)
            except Moved:
                self._whole = None
        engine = await self._divide()
        while True:
            try:
                return await call(engine)
            except Moved:
                before = await engine.homes()
            answer = await call(engine.regardless())
            after = await engine.homes()
            if all(before.get(connector) == after.get(connector) for connector in connectors):
                return answer

    async def _write(self, connector: str, call: Call[T]) -> T:
        if self._whole is not None:
            try:
                return await call(self._whole)
            except Moved:
                self._whole = None
        engine = await self._divide()
        while True:
            try:
                return await call(engine)
            except Moved:
                await mend(engine, connector)

    async def _all(self, call: Call[T]) -> T:
        if (whole := self._whole) is not None:
            answer = await call(whole)
            if not await is_divided(whole):
                return answer
            self._whole = None
        engine = await self._divide()
        while True:
            before = await engine.homes()
            answer = await call(engine)
            # What left one place for another in between may have been seen in neither.
            if await engine.homes() == before:
                return answer

    async def _one(self, call: Call[T]) -> T:
        return await call(self._whole or await self._divide())

    # -- what is not the same everywhere ---------------------------------------------------------------------------

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        """As the port says; a copy that is being made goes before this returns."""
        done = await self._write(target.connector, lambda engine: engine.erase(target, deleted_at, limit, erasure))
        if (whole := self._whole) is None or await is_divided(whole):
            await drop_copies(await self._divide(), target.connector)
        return done

    async def leap(self) -> None:
        if (whole := self._whole) is not None and await is_divided(whole):
            self._whole = None
        await (self._whole or await self._divide()).leap()
