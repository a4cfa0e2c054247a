"""Where data comes from: connectors, their instances, and what each of their streams holds."""

from aiohttp import web

from records.consent.scope import Scope, Selector
from records.errors import SourceDown, Unknown
from records.reading.reads import StreamSummary
from records.registry import Registration
from records.store import RecordStore
from server.console import addresses, asked
from server.console.rendering import render
from server.keys import CALLER, STORE

PAGE = 50
"""Connectors of one page."""


async def page(request: web.Request) -> web.Response:
    """`GET /console/connectors?first=`: in the order of their keys, from this one on."""
    first = asked.values(request, ("first",)).get("first", "")
    store, scope = request.app[STORE], request[CALLER].scope
    instances: dict[str, list[str]] = {}
    for each in await store.registry.instances(scope):
        instances.setdefault(each.connector, []).append(each.id)
    registered = [each for each in await store.registry.connectors(scope) if each.key >= first]
    shown = [
        _connector(each, instances.get(each.key, []), await _summaries(store, scope, each.key))
        for each in registered[:PAGE]
    ]
    more = addresses.connectors(registered[PAGE].key) if len(registered) > PAGE else None
    return render(request, "connectors.html", {"connectors": shown, "more": more, "begun": not first})


async def _summaries(store: RecordStore, scope: Scope, connector: str) -> list[StreamSummary] | None:
    """What its streams hold; None where it does not answer, or has gone meanwhile: others are shown all the same."""
    try:
        return await store.reads.streams(scope, Selector(connector))
    except (SourceDown, Unknown):
        return None


def _connector(of: Registration, instances: list[str], found: list[StreamSummary] | None) -> dict[str, object]:
    held = {each.name: each for each in found or ()}
    return {
        "id": of.manifest.connector_id,
        "name": of.manifest.display_name,
        "version": of.manifest.version,
        "instances": instances,
        "down": found is None,
        "attachments": addresses.attachments(of.key),
        "erase": addresses.erase(of.key),
        "export": addresses.page("/console/export", connector=of.key),
        "streams": [
            {
                "name": name,
                "records": held[name].record_count if name in held else 0,
                "newest": held[name].last_updated if name in held else None,
                "address": addresses.records(of.key, name),
            }
            for name in of.manifest.streams
        ],
    }
