"""Signing in with an owner's token, and out."""

import re

from aiohttp import hdrs, web

from server.auth import caller_of
from server.console import session
from server.console.attempts import ATTEMPTS, address_of
from server.console.guard import FORM, see_other
from server.console.rendering import render
from server.console.shown import plural

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,4000}=*\Z")


async def page(request: web.Request) -> web.Response:
    """`GET /console/sign-in?next=`."""
    return _page(request, request.rel_url.query.get("next", ""))


async def sign_in(request: web.Request) -> web.Response:
    """`POST /console/sign-in`: to the page that was wanted, or here again with what is wrong.

    Who sent too many wrong tokens has to wait; neither is a good one looked at then.
    """
    form = request[FORM]
    token, wanted = form.get("token", "").strip(), form.get("next", "")
    if not token:
        return _page(request, wanted, "Type or paste your token.")
    attempts, address = request.app[ATTEMPTS], address_of(request)
    if seconds := attempts.seconds_to_wait(address):
        return _too_many(request, wanted, seconds)
    attempts.count(address)
    is_wrong = False
    try:
        caller = await caller_of(request, token) if _TOKEN.match(token) else None
        is_wrong = caller is None
    finally:
        if not is_wrong:  # nobody could say that it was, either
            attempts.forgive(address)
    if caller is None:
        return _page(
            request, wanted, "This token is not known here, has expired or was revoked. Check that it is whole."
        )
    if caller.scope.grant is not None:
        return _page(request, wanted, "This is a client's token. The console needs the token of an owner.")
    response = see_other(wanted if session.is_inside(wanted) else session.HOME)
    session.begin(response, request, token)
    return response


async def sign_out(request: web.Request) -> web.Response:
    """`POST /console/sign-out`."""
    response = see_other("/console/sign-in")
    session.end(response)
    response.headers["Clear-Site-Data"] = '"cache"'  # thumbnails that the browser has kept
    return response


def _too_many(request: web.Request, wanted: str, seconds: int) -> web.Response:
    wrong = f"Too many tokens that are not known here came from your address. Try again in {plural(seconds, 'second')}."
    response = _page(request, wanted, wrong, status=429)
    response.headers[hdrs.RETRY_AFTER] = str(seconds)
    return response


def _page(request: web.Request, wanted: str, wrong: str | None = None, *, status: int = 403) -> web.Response:
    known = {"next": wanted if session.is_inside(wanted) else "", "wrong": wrong}
    return render(request, "sign_in.html", known, status=200 if wrong is None else status)
