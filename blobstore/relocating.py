"""An adapter that may move to another place while it is used: who uses it need not know.

A call that raises `MovedAway` (or `Moved`, where a file is gone) did nothing, and is repeated where the store is now.
Nothing is asked before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from blobstore.errors import Moved, MovedAway


class Adapter(Protocol):
    """Any port."""

    async def close(self) -> None:
        """Let go of files and connections."""
        ...


P = TypeVar("P", bound=Adapter)

TRIES = 10
"""Times that a call is repeated; a store moves seldom."""


@dataclass(eq=False, slots=True)
class _Place(Generic[P]):
    adapter: P
    calls: int = 0
    left: bool = False


class Relocating(Generic[P]):
    """Wrapper of any port whose methods are asynchronous. `find` opens the adapter where the store is now.

    An adapter that the store has left is closed as soon as no call is under way there: until then it may keep files on
    the disk that have been removed.
    """

    def __init__(self, here: P, find: Callable[[], Awaitable[P]]) -> None:
        self._here = _Place(here)
        self._find = find
        self._finding = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    def wrap(cls, here: P, find: Callable[[], Awaitable[P]]) -> P:
        """The wrapper as what it stands for."""
        return cast(P, cls(here, find))

    async def close(self) -> None:
        """As the port says."""
        await asyncio.gather(*self._closing)
        await self._here.adapter.close()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            for attempt in range(TRIES):
                here = self._here
                here.calls += 1
                try:
                    return await getattr(here.adapter, name)(*arguments, **named)
                except (Moved, MovedAway):
                    if attempt == TRIES - 1:
                        raise
                finally:
                    here.calls -= 1
                    self._close_if_left(here)
                await self._follow(here)
            raise AssertionError("it was tried often enough")

        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = call
        return call

    async def _follow(self, left: _Place[P]) -> None:
        """Be where the store is now."""
        async with self._finding:
            if self._here is left:
                self._here = _Place(await self._find())
                left.left = True
                self._close_if_left(left)

    def _close_if_left(self, place: _Place[P]) -> None:
        if place.left and not place.calls:
            place.left = False
            closing = asyncio.create_task(place.adapter.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
