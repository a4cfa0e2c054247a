"""A store that moves while it is used."""

import asyncio

import pytest

from blobstore.errors import MovedAway, StorageUnavailable
from blobstore.relocating import Relocating


class Store:
    """Moves away when it is told; counts who asks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.moved = False
        self.asked = 0
        self.closed = False

    async def close(self) -> None:
        self.closed = True

    async def ask(self, suffix: str, *, twice: bool = False) -> str:
        await asyncio.sleep(0)
        if self.moved:
            raise MovedAway("elsewhere")
        self.asked += 1
        return (self.name + suffix) * (1 + twice)


async def test_a_call_that_meets_a_store_that_has_moved_is_repeated_where_it_is() -> None:
    old, new, found = Store("old"), Store("new"), []

    async def find() -> Store:
        found.append(new)
        return new

    store = Relocating.wrap(old, find)
    assert await store.ask("!", twice=True) == "old!old!"
    old.moved = True
    assert await asyncio.gather(*(store.ask("?") for _ in range(20))) == ["new?"] * 20
    assert (old.asked, new.asked, len(found)) == (1, 20, 1)
    await asyncio.sleep(0)
    assert (old.closed, new.closed) == (True, False)
    await store.close()
    assert new.closed


async def test_a_store_that_is_nowhere_is_unavailable() -> None:
    old = Store("old")
    old.moved = True

    async def find() -> Store:
        return old

    with pytest.raises(StorageUnavailable):
        await Relocating.wrap(old, find).ask("")
