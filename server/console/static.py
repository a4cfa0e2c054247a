"""The files that pages load: read once, named with a digest of their content, kept by browsers."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

from server.errors import NoSuchRoute

_TYPES = {"console.css": "text/css", "icon.svg": "image/svg+xml", "none.svg": "image/svg+xml"}
_KEPT = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


def address(name: str) -> str:
    """Where a file is; another content has another address."""
    return f"/console/static/{name}?{sha256(content(name)).hexdigest()[:16]}"


async def file(request: web.Request) -> web.Response:
    """`GET /console/static/{name}`."""
    name = request.match_info["name"]
    if name not in _TYPES:
        raise NoSuchRoute("no such file")
    return web.Response(body=content(name), content_type=_TYPES[name], headers=_KEPT)


@cache
def content(name: str) -> bytes:
    """What is in a file."""
    return (files("server.console") / "static" / name).read_bytes()
