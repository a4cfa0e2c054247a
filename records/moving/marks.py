"""What the marks of a move ask of those who meet them: to wait, or to take them back for a mover that died.

Whoever moves connectors of an owner holds that owner's lock all the time. The central store alone says where a
connector lives: a mark that its home has on it, of a mover that is gone, has outlived its reason.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blobstore.errors import Damaged, Moved, translated
from blobstore.locked import try_file_lock
from records.engine import Engine
from records.engines.sharded import ShardedEngine
from records.engines.sharded.switching import remove_files
from records.moving.copying import throw_away
from records.shards import MAIN
from records.transfer import NEW, Mark, Stage

PAUSE = 0.02
"""Seconds after which who waits for a switch looks again."""


@contextmanager
def moving(lock: Path) -> Iterator[bool]:
    """Hold the lock of whoever moves an owner's connectors for the length of the block; False where another has it."""
    with translated(lock.name):
        lock.parent.mkdir(mode=0o700, exist_ok=True)
    with try_file_lock(lock) as alone:
        yield alone


async def is_divided(main: Engine) -> bool:
    """Whether this is not the only place where connectors of its owner may live."""
    return any(mark.away for mark in await main.marks(NEW))


async def mend(engine: ShardedEngine, connector: str) -> None:
    """Come back when it is time to ask again for a connector that was not where it is.

    Raises `StorageUnavailable` where it never will be.
    """
    await engine.main.require_in_place()
    with moving(engine.moving_lock) as alone:
        if alone:
            await settle(engine, connector)
    if not alone:
        await asyncio.sleep(PAUSE)


async def settle(engine: ShardedEngine, connector: str) -> None:
    """Serve the connector where it lives. Only for whoever holds the lock of its owner's moves.

    What has not left in the end is still being copied, which an erasure must know of.
    """
    for mark in await engine.marks(connector):
        if mark.stage is Stage.LEFT:
            await engine.mark(Mark(connector, Stage.LEAVING, mark.other))
        elif mark.stage is Stage.COMING:
            await engine.unmark(connector)


async def drop_copies(engine: ShardedEngine, connector: str) -> None:
    """Remove what is elsewhere of a connector that was erased from, and is from before: what was read to be copied, or
    what has left. What was made since is spared: it may be served at any moment.
    """
    home = (await engine.homes()).get(connector)
    disturbances = await engine.regardless().extract(connector, {}, lambda state, _: state.disturbances)
    if home is not None:
        away = any(mark.away for mark in await engine.main.marks(connector))
        if away and await engine.main.condemn(connector, disturbances):
            await throw_away(engine.main, connector, disturbances)
        return
    for mark in await engine.marks(connector):
        if mark.stage is Stage.LEAVING and mark.other != MAIN:
            await _drop_shard(engine, connector, mark.other, disturbances)


async def _drop_shard(engine: ShardedEngine, connector: str, shard: str, disturbances: int) -> None:
    try:
        async with engine.filling(shard) as copy:
            if not await copy.condemn(connector, disturbances):
                return
    except Moved:
        return  # it is gone already
    except Damaged:
        pass  # or not made to its end: nobody will ever live in it
    await asyncio.to_thread(remove_files, engine.path_of(shard))
