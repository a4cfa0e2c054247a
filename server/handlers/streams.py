"""Streams: what there is, and how each is declared."""

from aiohttp import web

from records.reading.reads import StreamSummary
from server import params, wire
from server.keys import CALLER, STORE


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/streams`: every declared stream of the selected connectors."""
    selector = params.selector(params.query(request, optional=params.SELECTOR))
    summaries = await request.app[STORE].reads.streams(request[CALLER].scope, selector)
    return wire.listing([summary(each) for each in summaries])


async def metadata(request: web.Request) -> web.Response:
    """`GET /v1/streams/{stream}`: the declaration."""
    selector = params.selector(params.query(request, optional=params.SELECTOR))
    name = params.path_part(request, "stream")
    registration, stream = await request.app[STORE].reads.stream(request[CALLER].scope, name, selector)
    return wire.reply(
        {
            "object": "stream_metadata",
            "name": stream.name,
            "connector_id": registration.key,
            "semantics": stream.semantics,
            "schema": stream.schema,
            "primary_key": stream.primary_key,
            "cursor_field": stream.cursor_field,
            "consent_time_field": stream.consent_time_field,
            "selection": stream.selection,
            "query": stream.query,
            "views": stream.raw.get("views") or [],
            "relationships": stream.relationships,
        }
    )


def summary(of: StreamSummary) -> dict[str, object]:
    """A stream in a list."""
    return {
        "object": "stream",
        "name": of.name,
        "connector_id": of.registration.key,
        "record_count": of.record_count,
        "last_updated": of.last_updated,
        "freshness": wire.freshness(of.last_updated),
    }
