"""Records: a page of a stream, one record, and their erasure."""

from urllib.parse import quote

from aiohttp import web

from records.reading.query import Listing
from records.reading.reads import RecordPage
from server import listing, params, wire
from server.handlers import erasures
from server.keys import CALLER, STORE


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/streams/{stream}/records`: one page, of records or of changes."""
    bracketed, plain = listing.split(params.pairs(request))
    values = params.named(plain, optional=(*params.SELECTOR, *listing.LIST))
    wanted, limit = listing.listing(bracketed, values)
    stream = params.path_part(request, "stream")
    page = await request.app[STORE].reads.page(request[CALLER].scope, stream, params.selector(values), wanted)
    return wire.listing([wire.record(each, stream) for each in page.records], **_members(stream, page, wanted, limit))


async def one(request: web.Request) -> web.Response:
    """`GET /v1/streams/{stream}/records/{key}`."""
    bracketed, plain = listing.split(params.pairs(request))
    values = params.named(plain, optional=(*params.SELECTOR, *listing.SHAPE))
    shape = listing.shape(bracketed, values)
    stream, key = params.path_part(request, "stream"), params.path_part(request, "key")
    reads, scope = request.app[STORE].reads, request[CALLER].scope
    return wire.reply(wire.record(await reads.record(scope, stream, key, params.selector(values), shape), stream))


async def erase_one(request: web.Request) -> web.Response:
    """`DELETE /v1/streams/{stream}/records/{key}`: 204 also when there is none."""
    return await _erase(request, params.path_part(request, "key"))


async def erase_all(request: web.Request) -> web.Response:
    """`DELETE /v1/streams/{stream}/records`: every record of the stream."""
    return await _erase(request, None)


async def _erase(request: web.Request, key: str | None) -> web.Response:
    selector = params.selector(params.query(request, required=params.CONNECTOR, optional=params.INSTANCE))
    owner, all_erasures = request[CALLER].owner, request.app[STORE].erasures
    goes = await all_erasures.coverage.of_records(owner, selector, params.path_part(request, "stream"), key)
    done = await erasures.carried_out(request, goes)
    return web.Response(status=204) if done.report.clean else erasures.accepted(request, done)


def _members(stream: str, page: RecordPage, wanted: Listing, limit: int) -> dict[str, object]:
    """What stands in a list beside its data."""
    members: dict[str, object] = {
        "url": f"/v1/streams/{quote(stream, safe='')}/records",
        "has_more": page.next_cursor is not None,
        "next_cursor": page.next_cursor,
        "next_changes_since": page.next_changes_since,
        "freshness": None if page.last_updated is None else wire.freshness(page.last_updated),
        "meta": {"warnings": [_clamped(limit, wanted.limit)]} if limit > wanted.limit else None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _clamped(limit: int, most: int) -> dict[str, object]:
    return {
        "code": "limit_clamped",
        "message": f"limit is at most {most}; this page has no more than that",
        "param": "limit",
        "detail": {"requested_limit": limit, "max_limit": most},
    }
