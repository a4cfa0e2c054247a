"""Where data comes from: connectors, their instances, and what each of their streams holds."""

from aiohttp import web

from records.consent.scope import Selector
from records.reading.reads import StreamSummary
from server.console import addresses, asked
from server.console.rendering import render
from server.keys import CALLER, STORE

PAGE = 50
"""Connectors of one page."""


async def page(request: web.Request) -> web.Response:
    """`GET /console/connectors?first=`: in the order of their keys, from this one on."""
    first = asked.values(request, ("first",)).get("first", "")
    store, scope = request.app[STORE], request[CALLER].scope
    by_connector: dict[str, list[StreamSummary]] = {}
    for summary in await store.reads.streams(scope, Selector()):
        by_connector.setdefault(summary.registration.key, []).append(summary)
    instances: dict[str, list[str]] = {}
    for each in await store.registry.instances(scope):
        instances.setdefault(each.connector, []).append(each.id)
    keys = [key for key in sorted(by_connector) if key >= first]
    shown = [_connector(key, by_connector[key], instances.get(key, [])) for key in keys[:PAGE]]
    more = addresses.connectors(keys[PAGE]) if len(keys) > PAGE else None
    return render(request, "connectors.html", {"connectors": shown, "more": more, "begun": not first})


def _connector(key: str, streams: list[StreamSummary], instances: list[str]) -> dict[str, object]:
    manifest = streams[0].registration.manifest
    return {
        "id": manifest.connector_id,
        "name": manifest.display_name,
        "version": manifest.version,
        "instances": instances,
        "attachments": addresses.attachments(key),
        "erase": addresses.erase(key),
        "export": addresses.page("/console/export", connector=key),
        "streams": [
            {
                "name": each.name,
                "records": each.record_count,
                "newest": each.last_updated,
                "address": addresses.records(key, each.name),
            }
            for each in streams
        ],
    }
