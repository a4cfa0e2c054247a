"""A separated deployment: what a token stands for is asked of an authorization server (RFC 7662), and of it alone.

One call for each request whose token is not remembered, and all is enforced from its answer. Good answers are
remembered for a minute at most, and never beyond the token's own end; bad ones are not. What cannot be understood lets
nobody in.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs

from records import jsontext
from records.consent import introspection, tokens
from records.consent.access import Access
from records.consent.scope import Scope
from server import basic
from server.config import Introspect
from server.errors import NoAuthorization

REMEMBERED_SECONDS = 60.0
"""How long a revoked grant may go on to be served (spec §10)."""

MAX_REMEMBERED = 8 << 20
"""Bytes of answers; the oldest is forgotten first."""

TIMEOUT = 10.0
"""Seconds for one call, from beginning to end."""

MAX_BYTES = 1 << 20
"""Of an answer: a grant that names thousands of records fits."""


@dataclass(frozen=True, slots=True)
class _Known:
    scope: Scope
    asked_at: float
    expires: float
    size: int


class Introspection:
    """Resolves tokens. Requests with one token that come together share one call."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: Introspect,
        access: Access,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._server = server
        self._access = access
        self._wall = wall
        self._steady = steady
        self._known: dict[bytes, _Known] = {}
        self._size = 0
        self._asking: dict[bytes, asyncio.Task[Scope | None]] = {}

    async def resolve(self, token: str) -> Scope | None:
        """As `Resolver.resolve`."""
        name = tokens.digest(token)
        known = self._known.get(name)
        if known is not None and self._is_fresh(known):
            return known.scope
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(self._ask(name, token))
            asking.add_done_callback(lambda done: self._answered(name, done))
        # Whoever hangs up must not end the call that others wait for.
        return await asyncio.shield(asking)

    def _is_fresh(self, known: _Known) -> bool:
        return self._steady() - known.asked_at < REMEMBERED_SECONDS and self._wall() < known.expires

    def _answered(self, name: bytes, asking: asyncio.Task[Scope | None]) -> None:
        del self._asking[name]
        if not asking.cancelled():
            asking.exception()  # it was told to those who waited; there may be none left

    async def _ask(self, name: bytes, token: str) -> Scope | None:
        self._forget(name)
        asked_at = self._steady()
        answer, size = await self._call(token)
        bearer = introspection.read(answer, self._server.expected, self._wall())
        if bearer is None:
            return None
        scope = Scope(await self._access.owner(bearer.subject), bearer.grant)
        self._known[name] = _Known(scope, asked_at, bearer.expires, size)
        self._size += size
        while self._size > MAX_REMEMBERED:
            self._forget(next(iter(self._known)))
        return scope

    def _forget(self, name: bytes) -> None:
        known = self._known.pop(name, None)
        self._size -= 0 if known is None else known.size

    async def _call(self, token: str) -> tuple[Mapping[str, Any], int]:
        """The answer, an object, and its length. Raises `NoAuthorization` for anything else than that."""
        headers = {
            hdrs.AUTHORIZATION: basic.header(self._server.client_id, self._server.client_secret),
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "identity",
            hdrs.CONTENT_TYPE: "application/x-www-form-urlencoded",
        }
        body = urlencode({"token": token})
        try:
            async with self._session.post(
                self._server.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise _untrusted(f"it answered {response.status}")
                text = await _bounded(response.content)
                answer = jsontext.decode(text)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _untrusted("it does not answer") from error
        except (ValueError, RecursionError) as error:
            raise _untrusted("its answer is no JSON") from error
        if not isinstance(answer, dict):
            raise _untrusted("its answer is no object")
        return answer, len(text)


@asynccontextmanager
async def connected(server: Introspect, access: Access) -> AsyncIterator[Introspection]:
    """Introspection for the length of the block."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        yield Introspection(session, server, access)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    gathered = bytearray()
    async for piece in content.iter_any():
        gathered += piece
        if len(gathered) > MAX_BYTES:
            raise _untrusted("its answer is too long")
    return bytes(gathered)


def _untrusted(why: str) -> NoAuthorization:
    return NoAuthorization(f"the authorization server cannot be asked about the token: {why}; try again later")
