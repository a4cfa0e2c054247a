"""Metrics, for who watches the server."""

import hmac
import ipaddress

from aiohttp import hdrs, web

from server.auth import bearer
from server.errors import Unauthenticated
from server.keys import CONFIG, METRICS, REQUEST_ID
from server.metrics.page import CONTENT_TYPE

_PASSED_ON = (
    hdrs.FORWARDED,
    hdrs.X_FORWARDED_FOR,
    hdrs.X_FORWARDED_HOST,
    hdrs.X_FORWARDED_PROTO,
    hdrs.VIA,
    "X-Real-IP",
)
"""Whoever sends one of these asks for somebody else, who may be anywhere."""


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: in the text format of Prometheus."""
    _require_watcher(request)
    text = await request.app[METRICS].text(request[REQUEST_ID])
    return web.Response(body=text, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})


def _require_watcher(request: web.Request) -> None:
    """Raise `Unauthenticated` unless it has the token of `--metrics-token`, or where there is none, is local."""
    token = request.app[CONFIG].metrics_token
    if token:  # an empty one is none: it would be open to all
        said = bearer(request) or ""
        if not hmac.compare_digest(said.encode(), token.encode()):
            raise _refused("metrics are for who has the token that the server was given as BLOBSTORE_METRICS_TOKEN")
    elif not _is_local(request):
        raise _refused(
            "metrics are for programs on this machine, asking at its own address and not through a proxy;"
            " for others start the server with BLOBSTORE_METRICS_TOKEN"
        )


def _is_local(request: web.Request) -> bool:
    """Whether somebody on this machine asks, for themselves. A page in a browser here may name any host but ours."""
    if request.app[CONFIG].public_url is not None or any(name in request.headers for name in _PASSED_ON):
        return False
    host = (request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host).strip("[]")
    return _is_loopback(request.remote or "") and (host == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _refused(message: str) -> Unauthenticated:
    return Unauthenticated(message, headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="metrics"'})
