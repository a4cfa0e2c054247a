"""Our own server in a thread of this process, for tests that speak to any server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.app import make_app
from server.config import Config
from server.run import listening
from tests.fakes.topologies import IN_FILES, Storage


@dataclass
class Target:
    """A server and the tokens of two of its owners; the second is None where there is none."""

    base_url: str
    token: str
    other_token: str | None
    directory: Path | None = None


@contextmanager
def serving(directory: Path, storage: Storage = IN_FILES, **options: Any) -> Iterator[Target]:
    """Serve a directory on a free port for the length of the block; other options are those of `Config`."""
    stop = asyncio.Event()
    loop: Future[asyncio.AbstractEventLoop] = Future()
    target: Future[Target] = Future()

    async def run() -> None:
        loop.set_result(asyncio.get_running_loop())
        try:
            async with _served(directory, storage, options) as served:
                target.set_result(served)
                await stop.wait()
        except Exception as error:
            target.set_exception(error)

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="server")
    thread.start()
    try:
        yield target.result()
    finally:
        loop.result().call_soon_threadsafe(stop.set)
        thread.join()


@asynccontextmanager
async def _served(directory: Path, storage: Storage, options: dict[str, Any]) -> AsyncIterator[Target]:
    store = await storage.open(directory)
    config = Config(port=0, **options)
    try:
        ada, bob = [await store.access.create_owner_token(subject, None) for subject in ("ada", "bob")]
        async with listening(make_app(store, config), config) as url:
            yield Target(url, ada, bob, directory)
    finally:
        await store.close()
