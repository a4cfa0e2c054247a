"""Who has erased everything comes back, without a sign-in: how that stands, and its receipt."""

from aiohttp import web

from records.erasure.report import Erasure
from records.errors import Conflict
from server.console import addresses, asked, erasures
from server.console.rendering import render
from server.console.spine import document
from server.keys import STORE

PATH = "/console/erased"


async def page(request: web.Request) -> web.Response:
    """`GET /console/erased?pass=`: it loads itself again until the erasure is complete."""
    given, done = await _asked(request)
    known = {
        "erasure": erasures.shown(done),
        "here_again": addresses.erased(given),
        "receipt": addresses.page(f"{PATH}/receipt", **{"pass": given}),
    }
    response = render(request, "erased.html", known)
    if done.report.state != "done":
        response.headers["Refresh"] = erasures.REFRESH
    return response


async def receipt(request: web.Request) -> web.Response:
    """`GET /console/erased/receipt?pass=`: the signed document, always the same, to be kept."""
    _, done = await _asked(request)
    if done.receipt is None:
        raise Conflict("the erasure is not complete: its receipt is made when it is")
    return document(done.receipt, f"receipt-{done.report.id}.json")


async def _asked(request: web.Request) -> tuple[str, Erasure]:
    given = asked.values(request, (), ("pass",))["pass"]
    return given, await request.app[STORE].passes.find(given)
