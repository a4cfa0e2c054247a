"""Runs the server: from a data directory to a listening socket, and back when it is told to stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from yarl import URL

from records.store import RecordStore
from records.upkeep import Schedule
from server import logs
from server.app import make_app
from server.config import Config
from server.connection import Runner

BACKLOG = 1024


async def serve(data: Path, config: Config, ready: Callable[[str], None]) -> None:
    """Serve the directory until SIGTERM or SIGINT, then drain; `ready` is told the URL once requests are taken.

    A second signal ends the process at once. Raises `StorageUnavailable`, `WrongStore`, `OSError` (the address).
    """
    logs.configure()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_once, loop, number, stop)
    store = await RecordStore.open(
        data,
        validate=config.validate_records,
        floor=config.floor,
        ledger=config.ledger,
        topology=config.topology,
        database_url=config.database_url,
        where=config.where,
    )
    for lacking in store.blobs.backend.lacks:
        logs.log.warning("blobs: %s", lacking)
    try:
        schedule = Schedule(history=config.history)
        async with listening(make_app(store, config, schedule), config) as url:
            ready(url)
            await stop.wait()
            logs.log.info("draining for at most %g seconds", config.drain)
    finally:
        await store.close()


@asynccontextmanager
async def listening(app: web.Application, config: Config) -> AsyncIterator[str]:
    """Listen for the length of the block; gives the URL. At its end running requests get `config.drain` seconds."""
    runner = Runner(app, config)
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port, backlog=BACKLOG)
        await site.start()
        yield str(URL.build(scheme="http", host=config.host, port=site.port))
        await site.stop()
        await runner.drain()
    finally:
        await runner.cleanup()


def _stop_once(loop: asyncio.AbstractEventLoop, number: int, stop: asyncio.Event) -> None:
    loop.remove_signal_handler(number)
    stop.set()
