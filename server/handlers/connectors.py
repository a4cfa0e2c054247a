"""Connectors: register a manifest, list what is registered, give a manifest back."""

from aiohttp import web

from records.consent.scope import Selector
from records.manifest import MAX_BYTES
from records.reading.reads import StreamSummary
from server import params, wire
from server.handlers import streams
from server.keys import CALLER, STORE


async def register(request: web.Request) -> web.Response:
    """`POST /v1/connectors`: 201 when the connector is new, 200 when its manifest is replaced."""
    params.query(request)
    manifest = await wire.read_raw(request, MAX_BYTES)
    registered, created = await request.app[STORE].registry.register(request[CALLER].owner, manifest)
    body = {"connector_id": registered.manifest.connector_id, "connector_key": registered.key}
    return wire.reply(body, status=201 if created else 200)


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/connectors`: each with its streams and their counts."""
    params.query(request)
    store, scope = request.app[STORE], request[CALLER].scope
    by_connector: dict[str, list[StreamSummary]] = {}
    for summary in await store.reads.streams(scope, Selector()):
        by_connector.setdefault(summary.registration.key, []).append(summary)
    return wire.listing([_connector(summaries) for summaries in by_connector.values()])


async def manifest(request: web.Request) -> web.Response:
    """`GET /v1/connectors/{connector_id}`: the manifest as it was registered."""
    params.query(request)
    name = params.path_part(request, "connector_id")
    found = await request.app[STORE].registry.connector(request[CALLER].scope, name)
    return wire.raw_reply(found.raw)


def _connector(summaries: list[StreamSummary]) -> dict[str, object]:
    registration = summaries[0].registration
    return {
        "object": "connector",
        "connector_id": registration.manifest.connector_id,
        "connector_key": registration.key,
        "source": {"kind": "connector", "id": registration.manifest.connector_id},
        "display_name": registration.manifest.display_name,
        "stream_count": len(summaries),
        "streams": [streams.summary(each) for each in summaries],
    }
