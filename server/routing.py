"""Putting a path in place: its methods, `HEAD` beside every `GET`, and a refusal of all others."""

from collections.abc import Mapping

from aiohttp import web

from server.errors import MethodNotAllowed
from server.keys import Handler
from server.middleware import hold_back


def place(router: web.UrlDispatcher, path: str, methods: Mapping[str, Handler], otherwise: Handler) -> None:
    """Let these handlers answer at the path, and `otherwise` every other method."""
    # aiohttp's own pattern for a part leaves braces out.
    resource = router.add_resource(path.replace("}", ":[^/]+}"))
    for method, handler in methods.items():
        for name in ("GET", "HEAD") if method == "GET" else (method,):
            resource.add_route(name, handler, expect_handler=hold_back)
    resource.add_route("*", otherwise, expect_handler=hold_back)


def refusing(methods: Mapping[str, Handler], message: str) -> Handler:
    """The handler that names the methods which are there. It raises `MethodNotAllowed`."""
    allowed = ", ".join([*methods, "HEAD"] if "GET" in methods else methods)

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise MethodNotAllowed(message, headers={"Allow": allowed})

    return refuse
