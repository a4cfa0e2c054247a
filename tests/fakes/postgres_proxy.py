"""Stands between a client and PostgreSQL, and cuts or stalls when a word passes (COMMIT): before it or its answer."""

import asyncio
from contextlib import suppress
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"


class Proxy:
    """A Unix socket in a folder of its own that leads to another's. `cuts` lists where to cut, one for each time.

    "before": the word never gets there; "after": it does, and its answer is lost; "stall": it does not get there, and
    nobody hears so. Past the list nothing is cut.
    """

    def __init__(self, server: Path, folder: Path, cuts: list[str], word: bytes = b"COMMIT") -> None:
        self._server = server / _SOCKET
        self._folder = folder
        self.cuts = cuts
        self._word = word
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> "Proxy":
        self._listening = await asyncio.start_unix_server(self._serve, self._folder / _SOCKET)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_unix_connection(self._server)
        back = asyncio.create_task(_copy(to_server[0], writer))
        with suppress(OSError):
            while data := await reader.read(65536):
                cut = self.cuts.pop(0) if self._word in data and self.cuts else None
                if cut == "before":
                    # Our end to the server stays open: it cannot tell that its client is gone.
                    writer.transport.abort()
                    return
                if cut == "stall":
                    await asyncio.Event().wait()
                if cut == "after":
                    back.cancel()
                    to_server[1].write(data)
                    await to_server[0].read(1)  # it was committed
                    writer.transport.abort()
                    break
                to_server[1].write(data)
                await to_server[1].drain()
        to_server[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
