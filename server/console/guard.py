"""What stands before every page: who is signed in, whether a form is ours, and errors as pages.

A page that is for owners sends everybody else to sign in. A form is looked at only when it comes from one of our own
pages and, once somebody is signed in, carries the session's key.
"""

from functools import wraps
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from aiohttp import hdrs, web
from multidict import MultiDict

from records.errors import Forbidden, Invalid
from server import errors, logs
from server.auth import caller_of, note_refusal
from server.body import require_type, whole
from server.console import addresses, session
from server.console.rendering import HEADERS, render
from server.keys import CALLER, REQUEST_ID, STORE, Handler

FORM = web.RequestKey("form", MultiDict[str])
"""The fields of the form that was sent, in their order; there in every handler of a POST."""

MAX_FORM = 256 << 10
MAX_FIELDS = 2000
_FORM_TYPE = "application/x-www-form-urlencoded"


def for_owner(handler: Handler) -> Handler:
    """The handler behind a sign-in; a form must be of the session."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        token = session.token_of(request)
        if token is None or not await recognise(request, token):
            return await _elsewhere(request)
        if request.method == "POST":
            form = await _form(request)
            if not session.is_form_key(form.get("form_key", ""), token):
                raise Forbidden("the form is of another session; load its page again and send it anew", "forbidden")
            request[FORM] = form
        try:
            return await handler(request)
        except Exception as error:
            await note_refusal(request, error)
            raise

    return as_page(guarded)


async def recognise(request: web.Request, token: str) -> bool:
    """Whether that is an owner's token; the owner is the request's caller then."""
    caller = await caller_of(request, token)
    if caller is None or caller.scope.grant is not None:
        return False
    request[CALLER] = caller
    return True


def for_anyone(handler: Handler) -> Handler:
    """The handler as it is, for who is not signed in."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            request[FORM] = await _form(request)
        return await handler(request)

    return as_page(guarded)


def as_page(handler: Handler) -> Handler:
    """The handler, whose errors become pages that say what to do."""

    @wraps(handler)
    async def shown(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ConnectionError:
            raise
        except Exception as error:
            if request.writer.output_size > 0:
                raise  # an answer that was begun is cut off
            return _problem(request, error)

    return shown


def see_other(where: str) -> web.Response:
    """The answer to a form that was carried out: look there."""
    return web.Response(status=303, headers={hdrs.LOCATION: where, **HEADERS})


async def _elsewhere(request: web.Request) -> web.Response:
    """Sign in; whose form, sent twice, has erased everything is shown how that stands instead."""
    given = request.rel_url.query.get("pass")
    if request.method == "POST" and given is not None and await request.app[STORE].passes.is_begun(given):
        return see_other(addresses.erased(given))
    return _to_sign_in(request)


def _to_sign_in(request: web.Request) -> web.Response:
    wanted = request.rel_url.raw_path_qs if request.method in ("GET", "HEAD") else session.HOME
    return see_other("/console/sign-in" + ("" if wanted == session.HOME else "?" + urlencode({"next": wanted})))


async def _form(request: web.Request) -> MultiDict[str]:
    """Raises `Forbidden` for what another site sent, and `Invalid` for what is no form."""
    if not session.comes_from_here(request):
        raise Forbidden("this form did not come from the console; open the page here and send it again", "forbidden")
    require_type(request, _FORM_TYPE)
    text = await whole(request, MAX_FORM)
    try:
        return MultiDict(parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Invalid("the form is not UTF-8, or has too many fields") from None


def refused(request: web.Request, error: Exception) -> errors.Shape:
    """What the exception means to who asked; what the operator should know of is in the log."""
    row = errors.shape(error, request.method)
    if errors.is_for_log(error, row.status):
        logs.failure(error, request[REQUEST_ID])
    return row


def _problem(request: web.Request, error: Exception) -> web.Response:
    row = refused(request, error)
    context = {"status": row.status, "phrase": HTTPStatus(row.status).phrase, "message": row.message or str(error)}
    response = render(request, "problem.html", context, status=row.status)
    for name, value in (
        *row.headers.items(),
        *(error.headers if isinstance(error, errors.ServerError) else {}).items(),
    ):
        response.headers[name] = value
    return response
