"""Requests whose answers fit into memory: sent again while that may help."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from blobstore.client.answers import Answer
from blobstore.client.backoff import delays
from blobstore.client.body import CountedBody
from blobstore.client.errors import AGAIN, ClientError, NotAnAddress, NotUnderstood, Unreachable, of_answer

ATTEMPTS = 9
"""Tries of one call: with the pauses between them about a minute, long enough for a server to restart."""

LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more with Retry-After is given up."""

IDLE = 300.0
"""Seconds without a piece taken or an answer; a server may need a while to make gigabytes durable."""

BRIEF = 1.0
"""Seconds of a pause that nobody needs to be told of."""

_LOG = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}

T = TypeVar("T")


def part(text: str) -> str:
    """One part of a path, whatever it holds."""
    return quote(text, safe="")


async def rest(pauses: Iterator[float], why: ClientError) -> None:
    """Before another try, as long as the server asks for. Raises `why` where there is to be none."""
    pause, asked = next(pauses, None), why.retry_after or 0.0
    if pause is None or asked > LONGEST_WAIT:
        raise why from None
    if isinstance(why, Unreachable) and pause > BRIEF:
        _LOG.warning("%s; trying again", why)
    await asyncio.sleep(max(pause, asked))


class Calls:
    """One server, with one token; `attempts` bounds the tries of each call."""

    def __init__(self, session: aiohttp.ClientSession, server: str, token: str | None, attempts: int) -> None:
        self.session = session
        self.server = _address(server)
        self.attempts = attempts
        self.is_without_resuming = False
        """It has been found to know no resumable uploads."""
        self.authorization = {"Authorization": f"Bearer {token}"} if token else {}

    def url(self, path: str, query: Mapping[str, str]) -> URL:
        """The address of a path, which is percent-encoded already, and a query, which is not."""
        return URL(self.server + path + ("?" + urlencode(query, quote_via=quote) if query else ""), encoded=True)

    def pauses(self) -> Iterator[float]:
        """How long to wait after each try in a row but the last."""
        return delays(self.attempts)

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] | None = None,
        *,
        again: bool = True,
    ) -> Answer:
        """The first answer that is a success; `body` makes one for each try. Raises `ClientError`.

        Without `again` it is asked once: what has happened already must not happen twice.
        """
        url = self.url(path, query)
        headers = {**self.authorization, **(headers or {})}
        pauses = self.pauses() if again else iter(())
        while True:
            answer, trouble = await self._attempt(method, url, headers, body() if body else None)
            if answer is not None and answer.status < 300:
                return answer
            why = Unreachable(trouble) if answer is None else of_answer(answer)
            if answer is not None and answer.status not in AGAIN:
                raise why
            await rest(pauses, why)

    async def _attempt(self, method: str, url: URL, headers: Mapping[str, str], body: Any) -> tuple[Answer | None, str]:
        """The answer if one came, else in words what was wrong with this attempt."""
        counted = body if isinstance(body, CountedBody) else None
        if counted is not None and counted.length is not None:
            headers = {**headers, "Content-Length": str(counted.length)}
        try:
            async with asyncio.timeout(IDLE) as idle:
                if counted is not None:
                    counted.on_piece = lambda: idle.reschedule(asyncio.get_running_loop().time() + IDLE)
                async with self.session.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    return Answer(response.status, response.headers, await response.read()), ""
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if counted is not None and counted.failure is not None:
                raise counted.failure from None
            return None, self.silence(error)
        finally:
            if counted is not None:
                await counted.close()

    def silence(self, error: Exception) -> str:
        """What to say where no answer came."""
        # The names of aiohttp's errors say what happened; their texts can hold addresses.
        return f"no answer from {URL(self.server).host_port_subcomponent} ({type(error).__name__})"


def decode(body: bytes, form: type[T]) -> T:
    """An answer's body. Raises `NotUnderstood`."""
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.DecodeError as error:
        raise NotUnderstood(f"the server's answer cannot be understood ({error}); do the versions differ?") from None


def _address(server: str) -> str:
    try:
        url = URL(server)
    except ValueError:
        raise NotAnAddress("the server's address is none; give one like http://127.0.0.1:8080") from None
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password or url.query_string:
        raise NotAnAddress("the server's address must be like http://127.0.0.1:8080, without user, password or query")
    return server.rstrip("/")
