"""A browser as the console's server sees it: no scripts, one cookie, and the headers that browsers send."""

from dataclasses import dataclass
from typing import Protocol

from aiohttp import ClientResponse, ClientSession

from server.console import session
from server.console.session import COOKIE

HERE = {"Sec-Fetch-Site": "same-origin"}


class Served(Protocol):
    """A server, and the token of its owner."""

    url: str
    token: str


@dataclass
class Browser:
    """Asks for pages with a cookie that the test sees; follows nothing."""

    running: Served
    http: ClientSession
    token: str | None = None

    async def get(self, path: str, **headers: str) -> tuple[ClientResponse, str]:
        return await self._ask("GET", path, None, headers)

    async def send(self, path: str, fields: dict[str, str], headers: dict[str, str] = HERE) -> ClientResponse:
        return (await self._ask("POST", path, fields, headers))[0]

    async def submit(self, path: str, fields: dict[str, str] | None = None) -> ClientResponse:
        """A form as a page of this session has it."""
        assert self.token is not None
        return await self.send(path, {"form_key": session.form_key(self.token), **(fields or {})})

    async def _ask(
        self, method: str, path: str, data: dict[str, str] | None, headers: dict[str, str]
    ) -> tuple[ClientResponse, str]:
        cookie = {} if self.token is None else {"Cookie": f"{COOKIE}={self.token}"}
        url, headers = self.running.url + path, {**headers, **cookie}
        async with self.http.request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
            return answer, await answer.text(errors="replace")
