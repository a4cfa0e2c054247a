"""Servers of every topology, each in a thread of this process; a test may plant a fault into one of them."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from records.store import RecordStore
from records.upkeep import Schedule
from server.app import make_app
from server.config import Config
from server.run import listening
from tests.fakes.topologies import Storage
from tools.oracle.run import Target

Plant = Callable[[RecordStore], None]
"""Changes an open store, so that it answers wrongly."""

OWNERS = ("ada", "bob", "cyd")

AT_NO_TIME = Schedule(collect=math.inf, checkpoint_every=math.inf)
"""What can be seen from the outside is done when a request asks for it: servers that do it by the clock, each by its
own, need not answer alike meanwhile."""


def nothing(store: RecordStore) -> None:
    """No fault."""


@contextmanager
def serving(directory: Path, storage: Storage, plant: Plant = nothing) -> Iterator[Target]:
    """Serve an empty directory on a free port for the length of the block."""
    stop = asyncio.Event()
    loop: Future[asyncio.AbstractEventLoop] = Future()
    target: Future[Target] = Future()

    async def run() -> None:
        loop.set_result(asyncio.get_running_loop())
        try:
            async with _served(directory, storage, plant) as served:
                target.set_result(served)
                await stop.wait()
        except Exception as error:
            target.set_exception(error)

    thread = threading.Thread(target=asyncio.run, args=(run(),), name=storage.topology)
    thread.start()
    try:
        yield target.result()
    finally:
        loop.result().call_soon_threadsafe(stop.set)
        thread.join()


@asynccontextmanager
async def _served(directory: Path, storage: Storage, plant: Plant) -> AsyncIterator[Target]:
    store = await storage.open(directory)
    config = Config(port=0)
    try:
        plant(store)
        token, *others = [await store.access.create_owner_token(subject, None) for subject in OWNERS]
        async with listening(make_app(store, config, AT_NO_TIME), config) as url:
            yield Target(url, token, tuple(others))
    finally:
        await store.close()
