"""Taking all of it away: an archive of a connector, or of everything.

It is planned before its first byte, so that its size is known. A page that grows shows how far that is, without a
script: each step is another line of it, and the style sheet shows the last one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from records.consent.scope import Selector
from records.errors import SourceDown
from server import params
from server.console import addresses, asked
from server.console.guard import refused
from server.console.rendering import growing, part, render
from server.handlers.export import send
from server.keys import CALLER, STORE
from server.prepared import PREPARED, Waiting

PATH = "/console/export"
STEP = 1.0
"""Seconds between two lines of a page that grows."""

SEEN = 90
"""Per cent of the work that is done when all records were looked at."""


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
        "make": addresses.page(f"{PATH}/make", connector=None if named is None else named.key),
    }
    return render(request, "export.html", known)


async def make(request: web.Request) -> web.StreamResponse:
    """`GET /console/export/make?connector=`: plans the archive, shows how far that is, and begins the download."""
    chosen = asked.values(request, ("connector",)).get("connector")
    store, caller = request.app[STORE], request[CALLER]
    key = None if chosen is None else (await store.registry.connector(caller.scope, chosen)).key
    if request.method == "HEAD":
        return render(request, "making.html")
    making = request.app[PREPARED].making(store.exports, caller.owner, key)
    async with making as waiting, growing(request, "making.html") as page:
        async for step in _steps(waiting):
            await page.write(part(request, "making_step.html", step))
        await page.write(part(request, "making_done.html", _outcome(request, waiting)))
    return page


async def bag(request: web.Request) -> web.StreamResponse:
    """`GET /console/export/bag?connector_id=&made=`: what was `made`; where it is not here any more, anew."""
    values = params.query(request, optional=(*params.CONNECTOR, "made"))
    owner, connector = request[CALLER].owner, values.get("connector_id")
    async with request.app[PREPARED].taken(values.get("made", ""), owner, connector) as made:
        if made is not None:
            return await send(request, made)
    await request.app[PREPARED].make_room(request.app[STORE].exports)
    async with request.app[STORE].exports.open(owner, connector) as anew:
        return await send(request, anew)


async def _steps(waiting: Waiting) -> AsyncIterator[Mapping[str, Any]]:
    """What a line of the page says, each second until it is ready."""
    while True:
        progress = waiting.progress
        expected = max(progress.expected, progress.records)  # others may write meanwhile
        share = SEEN if progress.is_seen else SEEN * progress.records // max(expected, 1)
        yield {"records": progress.records, "expected": expected, "is_seen": progress.is_seen, "share": share}
        if (await asyncio.wait([waiting.ready], timeout=STEP))[0]:
            return


def _outcome(request: web.Request, waiting: Waiting) -> Mapping[str, Any]:
    try:
        export = waiting.ready.result()
    except Exception as error:
        return {"wrong": refused(request, error).message or str(error)}
    where = addresses.page(f"{PATH}/bag", connector_id=waiting.connector, made=waiting.id)
    return {"wrong": None, "bytes": export.size, "archive": where}
