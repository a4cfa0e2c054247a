"""An adapter that may move to another place while it is used: who uses it need not know.

A call that raises `Moved` did nothing, and is repeated where the store is now. Nothing is asked before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

from blobstore.errors import Moved

P = TypeVar("P")

TRIES = 10
"""Times that a call is repeated; a store moves seldom."""


class Relocating(Generic[P]):
    """Wrapper of any port whose methods are asynchronous. `find` opens the adapter where the store is now.

    Adapters are closed by whoever opened them: calls that were begun on one may still be under way.
    """

    def __init__(self, here: P, find: Callable[[], Awaitable[P]]) -> None:
        self._here = here
        self._find = find
        self._finding = asyncio.Lock()

    @classmethod
    def wrap(cls, here: P, find: Callable[[], Awaitable[P]]) -> P:
        """The wrapper as what it stands for."""
        return cast(P, cls(here, find))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            for _ in range(TRIES):
                here = self._here
                try:
                    return await getattr(here, name)(*arguments, **named)
                except Moved:
                    await self._follow(here)
            return await getattr(self._here, name)(*arguments, **named)

        self.__dict__[name] = call
        return call

    async def _follow(self, left: P) -> None:
        """Be where the store is now; raises `Moved` where that is where it was."""
        async with self._finding:
            if self._here is left:
                self._here = await self._find()
