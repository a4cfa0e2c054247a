"""The address that clients know this server by."""

from aiohttp import web
from yarl import URL

from server.keys import CONFIG


def base_url(request: web.Request) -> str:
    """Scheme, host and port, without a slash at the end.

    Never taken from the Host header: whoever sends one could make this server vouch for another address.
    """
    configured = request.app[CONFIG].public_url
    if configured is not None:
        return configured.rstrip("/")
    local = request.get_extra_info("sockname")
    if not isinstance(local, tuple):  # the connection is gone
        return ""
    return str(URL.build(scheme="http", host=local[0], port=local[1]))
