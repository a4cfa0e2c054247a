"""What holds for every request and every answer: its id, the protocol's version, errors in one form, safe headers."""

import re
import secrets
import time

from aiohttp import hdrs, web
from multidict import CIMultiDict

from records.errors import Invalid
from server import logs
from server.body import awaits_continue
from server.config import PDPP_VERSION
from server.errors import ExpectationFailed, answer, is_for_log
from server.keys import CONFIG, REQUEST_ID, STOPPING, TRACES, Handler
from server.metrics import meters
from server.metrics.meters import BEGAN

_SANE_ID = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}\Z")
SERVER = "blobstore"


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Run the handler; whatever it raises becomes the contract's answer."""
    request[REQUEST_ID] = request_id(request)
    request[BEGAN] = time.perf_counter()
    logs.CURRENT.set(request[REQUEST_ID])
    traces = request.app.get(TRACES)
    if traces is None:
        return await _answered(request, handler)
    with traces.request(request, request[REQUEST_ID]) as told:
        response = await _answered(request, handler)
        told.status = response.status
        return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    meters.RUNNING.inc()
    try:
        response = await _handled(request, handler)
    except BaseException:
        finished(request, 0)
        raise  # nobody is there to be answered, or not to the end
    finally:
        meters.RUNNING.dec()
    if not request.content.is_eof():
        # The rest of the body is not wanted: say so, instead of reading it to keep the connection.
        response.force_close()
    return response


async def _handled(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _check_version(request)
        _check_expect(request)
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as error:
        return refuse(request, error, request[REQUEST_ID])


def finished(request: web.BaseRequest, status: int) -> None:
    """The request came to its end, and its answer with it; 0: it has none, or it broke off."""
    began = request.get(BEGAN) or time.perf_counter()
    meters.ended(request, began, status)
    if isinstance(request, web.Request) and BEGAN in request and request.app[CONFIG].log_requests:
        facts = {
            "method": meters.method_of(request),
            "route": meters.route_of(request),
            "status": status,
            "seconds": round(time.perf_counter() - began, 6),
            "received_bytes": meters.received_by(request),
            "sent_bytes": request.writer.output_size,
        }
        logs.request(request.get(REQUEST_ID), facts)


def refuse(request: web.BaseRequest, error: Exception, named: str) -> web.Response:
    """The answer that an exception becomes. Where one is on its way already the connection is cut instead.

    Raises `ConnectionError` then: a body must never end as if it were whole.
    """
    response = answer(error, method=request.method, request_id=named)
    if is_for_log(error, response.status):
        logs.failure(error, named)
    if request.writer.output_size > 0:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError("the answer broke off")
    return response


def request_id(request: web.BaseRequest) -> str:
    """The client's own id for the request if it is fit to be repeated, else a new one."""
    said = request.headers.getall("Request-Id", [])
    if len(said) == 1 and _SANE_ID.match(said[0]):
        return said[0]
    return fresh_id()


def fresh_id() -> str:
    """A new request id."""
    return "req_" + secrets.token_hex(8)


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Runs for every answer before its headers go out."""
    stamp(response.headers, request[REQUEST_ID])
    if request.app[STOPPING].announced:
        # So that clients connect to others, before nobody listens here any more.
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()


def stamp(headers: CIMultiDict[str], named: str) -> None:
    """Add what every answer carries."""
    headers["Request-Id"] = named
    headers["PDPP-Version"] = PDPP_VERSION
    headers[hdrs.SERVER] = SERVER
    headers["X-Content-Type-Options"] = "nosniff"
    # Personal data, or about it: no cache may keep any of it, unless the handler knows better.
    headers.setdefault(hdrs.CACHE_CONTROL, "private, no-store")


async def hold_back(request: web.Request) -> None:
    """Stands where aiohttp would answer `100 Continue` before anything is checked: the first read does (body.py)."""


def _check_version(request: web.Request) -> None:
    if any(version.strip() != PDPP_VERSION for version in request.headers.getall("PDPP-Version", [])):
        raise Invalid(
            f"this server speaks PDPP-Version {PDPP_VERSION} only", code="unsupported_version", param="PDPP-Version"
        )


def _check_expect(request: web.Request) -> None:
    # HTTP/1.0 has no expectations (RFC 9110, 10.1.1): they are ignored there.
    if request.version >= (1, 1) and hdrs.EXPECT in request.headers and not awaits_continue(request):
        raise ExpectationFailed("the only expectation that is met is 100-continue")
