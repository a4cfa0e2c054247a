"""Taking all of it away: an archive of a connector, or of everything."""

from aiohttp import web

from records.consent.scope import Selector
from records.errors import SourceDown
from server.console import addresses, asked
from server.console.rendering import render
from server.keys import CALLER, STORE


async def page(request: web.Request) -> web.Response:
    """`GET /console/export?connector=`: what would be in it, and where to get it."""
    chosen = asked.values(request, ("connector",)).get("connector")
    store, scope = request.app[STORE], request[CALLER].scope
    every = [(each.key, each.manifest.display_name) for each in await store.registry.connectors(scope)]
    named = None if chosen is None else await store.registry.connector(scope, chosen)
    try:
        streams = await store.reads.streams(scope, Selector(None if named is None else named.key))
        wrong = None
    except SourceDown as error:
        streams, wrong = [], str(error)
    known = {
        "wrong": wrong,
        "connectors": every,
        "connector": None if named is None else named.key,
        "name": None if named is None else named.manifest.display_name,
        "records": sum(each.record_count for each in streams),
        "streams": len(streams),
        "archive": addresses.page("/console/export/bag", connector_id=None if named is None else named.key),
    }
    return render(request, "export.html", known)
