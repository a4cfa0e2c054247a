"""A door before an S3 store that counts the requests that pass, by method."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from urllib.parse import urlsplit

_BEGUN = re.compile(rb"(?:^|\r\n|\}|>)(GET|HEAD|PUT|POST|DELETE) /[^ \r\n]* HTTP/1\.1\r\n")
"""The first line of a request. What is uploaded here has none in it."""


class Door:
    """Its address, and how many requests came through it. Knows plain HTTP only."""

    def __init__(self, endpoint: str) -> None:
        self.url = ""
        self.requests: Counter[str] = Counter()
        self._there = urlsplit(endpoint)

    async def open(self) -> asyncio.Server:
        """Let clients in."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._there.hostname, self._there.port)
        await asyncio.gather(self._pump(reader, there[1], count=True), self._pump(there[0], writer, count=False))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        while piece := await reader.read(1 << 18):
            if count:
                self.requests.update(each.decode() for each in _BEGUN.findall(piece))
            writer.write(piece)
            await writer.drain()
        writer.close()


@contextmanager
def counting(endpoint: str) -> Iterator[Door]:
    """A door for the length of the block."""
    door, stop = Door(endpoint), asyncio.Event()
    loop: Future[asyncio.AbstractEventLoop] = Future()

    async def run() -> None:
        async with await door.open():
            loop.set_result(asyncio.get_running_loop())
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    running = loop.result()
    try:
        yield door
    finally:
        running.call_soon_threadsafe(stop.set)
        thread.join()
