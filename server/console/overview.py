"""The first page: what the owner holds, and from where."""

from aiohttp import web

from records.consent.scope import Selector
from records.reading.reads import StreamSummary
from server.console.guard import see_other
from server.console.rendering import render
from server.keys import CALLER, STORE


async def page(request: web.Request) -> web.Response:
    """`GET /console`."""
    by_connector: dict[str, list[StreamSummary]] = {}
    for summary in await request.app[STORE].reads.streams(request[CALLER].scope, Selector()):
        by_connector.setdefault(summary.registration.key, []).append(summary)
    rows = [_row(each) for each in by_connector.values()]
    return render(request, "overview.html", {"connectors": rows, "records": sum(row["records"] for row in rows)})


async def moved(request: web.Request) -> web.Response:
    """`GET /console/`: the cookie and the links are without the slash."""
    return see_other("/console")


def _row(streams: list[StreamSummary]) -> dict[str, object]:
    registration = streams[0].registration
    return {
        "key": registration.key,
        "name": registration.manifest.display_name,
        "streams": len(streams),
        "records": sum(each.record_count for each in streams),
        "newest": max((each.last_updated for each in streams if each.last_updated), default=None),
    }
