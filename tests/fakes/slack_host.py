"""Plays Slack's file host: credentials, sign-in pages, ranges, and what goes wrong with downloads."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

SIGN_IN = b"<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body>" + b"x" * 5000 + b"</body></html>"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class Asked:
    """One request, as the host saw it."""

    path: str
    query: str
    authorization: str | None
    range: str | None
    if_range: str | None
    cookie: str | None


@dataclass
class SlackHost:
    """Serves `content` by file id to who knows `tokens`; `answers` come first, in order, each until it gives None."""

    tokens: set[str] = field(default_factory=set)
    content: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"v1"'
    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    busy: int = 0
    most: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        self.asked.append(
            Asked(
                request.path,
                request.query_string,
                headers.get("Authorization"),
                headers.get("Range"),
                headers.get("If-Range"),
                headers.get("Cookie"),
            )
        )
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(0.01)
            for answer in self.answers:
                response = await answer(request)
                if response is not None:
                    return response
            return self._serve(request)
        finally:
            self.busy -= 1

    def _serve(self, request: web.Request) -> web.Response:
        if request.path == "/":
            return web.Response(body=SIGN_IN, content_type="text/html")
        given = {request.headers.get("Authorization", "").removeprefix("Bearer "), *request.query.values()}
        if request.path.startswith("/files-pri/") and not given & self.tokens:
            return web.Response(status=302, headers={"Location": f"/?redir={request.path}", "Set-Cookie": "b=tracked"})
        found = re.match(r"/[a-z-]+/T1-([A-Z0-9]+)/", request.path)
        if not found or found[1] not in self.content:
            return web.Response(status=404, body=b"<html>no</html>", content_type="text/html")
        return self._part(request, self.content[found[1]])

    def _part(self, request: web.Request, content: bytes) -> web.Response:
        tag = {"ETag": self.etag} if self.etag else {}
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if not asked or request.headers.get("If-Range") != self.etag:
            return web.Response(body=content, headers=tag)
        start = int(asked[1])
        where = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return web.Response(status=206, body=content[start:], headers=tag | {"Content-Range": where})


def cut_after(size: int, content: bytes, *, chunked: bool = False, etag: str | None = '"v1"') -> Answer:
    """The first request gets so many bytes of a body, then the connection breaks."""
    done = False

    async def answer(request: web.Request) -> web.StreamResponse | None:
        nonlocal done
        if done:
            return None
        done = True
        response = web.StreamResponse(headers={"ETag": etag} if etag else {})
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(content)
        await response.prepare(request)
        await response.write(content[:size])
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def first(count: int, status: int, **headers: str) -> Answer:
    """So many requests get this status."""
    left = count

    async def answer(request: web.Request) -> web.Response | None:
        nonlocal left
        left -= 1
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, headers=sent, body=b"<html>no</html>") if left >= 0 else None

    return answer


@asynccontextmanager
async def hosting(host: SlackHost, name: str = "127.0.0.1") -> AsyncIterator[str]:
    """The host on a free port of the loopback interface; gives `name:port`."""
    app = web.Application()
    app.router.add_get("/{tail:.*}", host.handle)
    async with TestServer(app) as running:
        yield f"{name}:{running.port}"
