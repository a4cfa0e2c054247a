"""Stands between clients and whichever servers live, and cuts connections at random, in the midst of bodies."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from yarl import URL

_PIECE = 64 << 10


class CuttingProxy:
    """Made with `cutting`. A connection is cut after so many bytes, of those to the server, as `reach` says: about
    half of all that are longer."""

    def __init__(self, servers: Callable[[], Sequence[str]], rng: random.Random, reach: int) -> None:
        self._servers = servers
        self._rng = rng
        self._reach = reach
        self._links: set[asyncio.Task[None]] = set()
        self.url = ""
        self.cuts = 0
        self.passed = 0
        """Bytes that went to servers."""

    def quiet(self) -> None:
        """Cut nothing any more."""
        self._reach = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        ends = [writer]
        try:
            url = URL(self._rng.choice(self._servers()))
            answers, server = await asyncio.open_connection(url.host, url.port)
            ends.append(server)
            left = self._rng.randrange(2 * self._reach) if self._reach else 1 << 60
            back = asyncio.create_task(_pump(answers, writer))
            asking = asyncio.create_task(self._ask(reader, server, left))
            await asyncio.wait([back, asking], return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and not asking.result():
                await asyncio.wait([back], timeout=30)  # the client has sent all that it will
            back.cancel()
            asking.cancel()
        except (OSError, IndexError):
            pass  # no server lives, or this one does no more
        finally:
            for each in ends:
                each.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, left: int) -> bool:
        """Whether it was cut."""
        with suppress(ConnectionError):
            while data := await reader.read(_PIECE):
                server.write(data[:left])
                self.passed += len(data[:left])
                left -= len(data)
                if left <= 0:
                    self.cuts += 1
                    return True
                await server.drain()
            return False
        return True


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def cutting(servers: Callable[[], Sequence[str]], rng: random.Random, reach: int) -> AsyncIterator[CuttingProxy]:
    """A proxy at an address that stays, whatever becomes of the servers."""
    proxy = CuttingProxy(servers, rng, reach)
    listening = await asyncio.start_server(proxy.take, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
