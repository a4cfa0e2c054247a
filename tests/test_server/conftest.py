"""A server in the test's own event loop, and raw sockets to speak to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from records.layout import Topology
from records.store import RecordStore
from server.app import make_app
from server.config import Config
from server.run import listening


@dataclass
class Running:
    """A running server, its store, an owner's token, and the application."""

    url: str
    token: str
    store: RecordStore
    app: web.Application

    async def connect(self) -> "Wire":
        return Wire(*await asyncio.open_connection("127.0.0.1", URL(self.url).port))

    def head(self, line: str, *headers: str, token: str | None = None) -> bytes:
        """The head of a request, with a token."""
        lines = (f"{line} HTTP/1.1", "Host: test", f"Authorization: Bearer {token or self.token}", *headers)
        return "\r\n".join(lines).encode() + b"\r\n\r\n"


@dataclass
class Wire:
    """One connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers (names in lower case), body."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, body

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, also an unfriendly one."""
        gathered = b""
        try:
            while piece := await asyncio.wait_for(self.reader.read(1 << 16), 20):
                gathered += piece
        except ConnectionError:
            pass
        return gathered

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a server, on another directory and in another topology where they are named.

    Other keyword arguments are those of `Config`.
    """

    @asynccontextmanager
    async def run(
        directory: str = "data", topology: Topology = Topology.SINGLE, **options: Any
    ) -> AsyncIterator[Running]:
        config = Config(port=0, **{"drain": 2.0, **options})
        store = await RecordStore.open(tmp_path / directory, floor=config.floor, topology=topology, where=config.where)
        try:
            token = await store.access.create_owner_token("ada", None)
            app = make_app(store, config)
            async with listening(app, config) as url:
                yield Running(url, token, store, app)
        finally:
            await store.close()

    return run


@pytest.fixture
async def running(start: Start) -> AsyncIterator[Running]:
    """A server with ordinary patience."""
    async with start() as running:
        yield running
