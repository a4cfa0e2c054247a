"""Records: a page of a stream, one record, and their erasure."""

from urllib.parse import quote

from aiohttp import web

from records.errors import Invalid
from records.model import Order
from server import params, wire
from server.handlers import owner
from server.keys import CALLER, STORE

DEFAULT_LIMIT = 25
MAX_LIMIT = 100


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/streams/{stream}/records`: one page."""
    values = params.query(request, optional=(*params.SELECTOR, "limit", "cursor", "order"))
    stream = params.path_part(request, "stream")
    limit = params.integer(values, "limit", DEFAULT_LIMIT, minimum=1)
    page = await request.app[STORE].reads.page(
        request[CALLER].scope,
        stream,
        params.selector(values),
        order=_order(values.get("order")),
        cursor=values.get("cursor"),
        limit=min(limit, MAX_LIMIT),
    )
    members: dict[str, object] = {
        "url": f"/v1/streams/{quote(stream, safe='')}/records",
        "has_more": page.next_cursor is not None,
    }
    if page.next_cursor is not None:
        members["next_cursor"] = page.next_cursor
    if limit > MAX_LIMIT:
        members["meta"] = {"warnings": [_clamped(limit)]}
    return wire.listing([await wire.record(each) for each in page.records], **members)


async def one(request: web.Request) -> web.Response:
    """`GET /v1/streams/{stream}/records/{key}`."""
    selector = params.selector(params.query(request, optional=params.SELECTOR))
    stream, key = params.path_part(request, "stream"), params.path_part(request, "key")
    found = await request.app[STORE].reads.record(request[CALLER].scope, stream, key, selector)
    return wire.reply(await wire.record(found))


async def erase_one(request: web.Request) -> web.Response:
    """`DELETE /v1/streams/{stream}/records/{key}`: 204 also when there is none."""
    return await _erase(request, params.path_part(request, "key"))


async def erase_all(request: web.Request) -> web.Response:
    """`DELETE /v1/streams/{stream}/records`: every record of the stream."""
    return await _erase(request, None)


async def _erase(request: web.Request, key: str | None) -> web.Response:
    selector = params.selector(params.query(request, required=params.CONNECTOR, optional=params.INSTANCE))
    report = await request.app[STORE].erasures.records(
        request[CALLER].owner, selector, params.path_part(request, "stream"), key, wait=owner.patience(request)
    )
    return web.Response(status=204) if report.state == "done" else owner.accepted(request, report)


def _order(text: str | None) -> Order:
    if text is None:
        return Order.DESC
    if text not in tuple(Order):
        raise Invalid("order must be asc or desc", param="order")
    return Order(text)


def _clamped(limit: int) -> dict[str, object]:
    return {
        "code": "limit_clamped",
        "message": f"limit is at most {MAX_LIMIT}; this page has no more than that",
        "param": "limit",
        "detail": {"requested_limit": limit, "max_limit": MAX_LIMIT},
    }
