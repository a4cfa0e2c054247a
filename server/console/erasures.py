"""Erasures that were begun: how each stands, and its receipt."""

from typing import Any

from aiohttp import web

from records.erasure.report import Erasure
from records.errors import Conflict
from server.console import addresses, asked
from server.console.rendering import render
from server.console.spine import document
from server.keys import CALLER, STORE

PATH = "/console/erasure"
LIMIT = 25
REFRESH = "2"
"""Seconds after which a browser looks again at an erasure that goes on."""


async def page(request: web.Request) -> web.Response:
    """`GET /console/erasure?id=`: it loads itself again until the erasure is complete."""
    done = await _asked(request)
    response = render(request, "erasure.html", {"erasure": shown(done)})
    if done.report.state != "done":
        response.headers["Refresh"] = REFRESH
    return response


async def receipt(request: web.Request) -> web.Response:
    """`GET /console/erasure/receipt?id=`: the signed document, always the same, to be kept."""
    done = await _asked(request)
    if done.receipt is None:
        raise Conflict("the erasure is not complete: its receipt is made when it is")
    return document(done.receipt, f"receipt-{done.report.id}.json")


async def listed(request: web.Request) -> dict[str, Any]:
    """What a page needs to list the newest of them."""
    found = await request.app[STORE].erasures.listed(request[CALLER].owner, None, LIMIT + 1)
    return {"erasures": [shown(each) for each in found[:LIMIT]], "more_erasures": len(found) > LIMIT}


def address(erasure: str) -> str:
    """The page of an erasure."""
    return addresses.page(PATH, id=erasure)


def shown(of: Erasure) -> dict[str, Any]:
    """An erasure as pages tell of it. A record's key is a digest by then."""
    report = of.report
    covered = report.covered
    parts = [covered.connector, *covered.instances[:1], covered.stream]
    return {
        "id": report.id,
        "address": address(report.id),
        "receipt": None if of.receipt is None else addresses.page(f"{PATH}/receipt", id=report.id),
        "kind": covered.kind,
        "what": " / ".join(part for part in parts if part) if covered.kind != "owner" else "everything",
        "report": report,
        "residue": report.residue,
    }


async def _asked(request: web.Request) -> Erasure:
    name = asked.values(request, (), ("id",))["id"]
    return await request.app[STORE].erasures.find(request[CALLER].owner, name)
