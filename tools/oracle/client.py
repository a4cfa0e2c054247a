"""One server, and how requests go to it."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from blobstore.client.session import new_session
from tools.oracle.matching import Matching
from tools.oracle.request import Answer, Request

_SMALL = 64 << 10
"""Bytes of a body in which a server's own values are put: longer ones have none."""

_PIECE = 10_000
PATIENCE = 300.0
"""Seconds without a byte."""


class Server:
    """A server at its address, and what it calls the values of the first one."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.matching = Matching()
        self.heads = {"spine": 0, "disclosures": 0}
        """Up to which event each list was read."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = new_session(connect=PATIENCE, silent=PATIENCE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Answer:
        """Its answer, with its own address made the same as everybody's. Raises `aiohttp.ClientError`, `OSError`."""
        assert self._session is not None
        translated = self.matching.translated_text
        headers = [(name, translated(value)) for name, value in request.headers]
        if request.token is not None:
            headers.append(("Authorization", f"Bearer {translated(request.token)}"))
        url = URL(self.base_url + translated(request.target), encoded=True)
        async with self._session.request(
            request.method, url, data=self._body(request), headers=headers, allow_redirects=False
        ) as response:
            body = await response.read()
            names = tuple((name.decode(), self._plain(value).decode("latin-1")) for name, value in response.raw_headers)
            return Answer(response.status, response.reason or "", names, self._plain(body))

    def _plain(self, text: bytes) -> bytes:
        return text.replace(self.base_url.encode(), b"http://server")

    def _body(self, request: Request) -> bytes | AsyncIterator[bytes] | None:
        if request.body is None:
            return None
        body = request.body if len(request.body) > _SMALL else self.matching.translated(request.body)
        return _pieces(body) if request.chunked else body


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]
        await asyncio.sleep(0)
