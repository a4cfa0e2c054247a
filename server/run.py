"""Runs the server: from a data directory to a listening socket, and back when it is told to stop."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from yarl import URL

from records.store import RecordStore
from records.upkeep import Schedule
from server import logs
from server.app import make_app
from server.config import BACKLOG, Config
from server.connection import Runner
from server.inherited import Inherited, Shared
from server.stopping import Stopping


async def serve(data: Path, config: Config, ready: Callable[[str], None], inherited: Inherited | None = None) -> None:
    """Serve the directory until SIGTERM or SIGINT, then drain; `ready` is told the URL once requests are taken.

    A second signal ends the process at once; whatever hangs, it ends when it had its time (`Stopping.end_within`).
    `inherited` is what a worker has from its supervisor, which may end it, too. Raises `StorageUnavailable`,
    `WrongStore`, `OSError` (the address).
    """
    logs.configure()
    stopping = Stopping()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_once, loop, number, stopping)
    if inherited is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is the supervisor's to act on
        inherited.follow(stopping, config.drain_delay + config.drain)
    store = await RecordStore.open(
        data,
        validate=config.validate_records,
        floor=config.floor,
        ledger=config.ledger,
        topology=config.topology,
        database_url=config.database_url,
        where=config.where,
        secret_file=config.secret_file,
    )
    for lacking in store.blobs.backend.lacks:
        logs.log.warning("blobs: %s", lacking)
    try:
        app = make_app(store, config, Schedule(history=config.history), stopping)
        async with listening(app, config, None if inherited is None else inherited.listening()) as url:
            ready(url)
            await stopping.wait(config.drain_delay)
            stopping.end_within(config.drain)
            logs.log.info("draining for at most %g seconds", config.drain)
    finally:
        await store.close()


@asynccontextmanager
async def listening(
    app: web.Application, config: Config, sockets: Sequence[socket.socket] | None = None
) -> AsyncIterator[str]:
    """Listen for the length of the block, at the address or at sockets that listen already; gives the URL.

    At its end running requests get `config.drain` seconds.
    """
    runner = Runner(app, config)
    await runner.setup()
    try:
        if sockets is None:
            sites: list[web.BaseSite] = [web.TCPSite(runner, config.host, config.port, backlog=BACKLOG)]
        else:
            sites = [web.SockSite(runner, each, backlog=Shared.BACKLOG) for each in sockets]
        for site in sites:
            await site.start()
        yield str(URL.build(scheme="http", host=config.host, port=runner.addresses[0][1]))
        await _accept_no_more(sockets or ())
        for site in sites:
            await site.stop()
        await runner.drain()
    finally:
        await runner.cleanup()


async def _accept_no_more(sockets: Sequence[socket.socket]) -> None:
    """Leave what waits at these sockets to the others that have them, and lose nobody who was accepted already.

    A connection takes asyncio two rounds to come into being, and is dropped if its server is closed before.
    """
    loop = asyncio.get_running_loop()
    for each in sockets:
        loop.remove_reader(each)
    for _ in range(3):
        await asyncio.sleep(0)


def _stop_once(loop: asyncio.AbstractEventLoop, number: int, stopping: Stopping) -> None:
    loop.remove_signal_handler(number)
    stopping.announce()
