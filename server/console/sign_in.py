"""Signing in with an owner's token, and out."""

import re

from aiohttp import web

from server.auth import caller_of
from server.console import session
from server.console.guard import FORM, see_other
from server.console.rendering import render

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,4000}=*\Z")


async def page(request: web.Request) -> web.Response:
    """`GET /console/sign-in?next=`."""
    return _page(request, request.rel_url.query.get("next", ""))


async def sign_in(request: web.Request) -> web.Response:
    """`POST /console/sign-in`: to the page that was wanted, or here again with what is wrong."""
    form = request[FORM]
    token, wanted = form.get("token", "").strip(), form.get("next", "")
    if not token:
        return _page(request, wanted, "Type or paste your token.")
    caller = await caller_of(request, token) if _TOKEN.match(token) else None
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


def _page(request: web.Request, wanted: str, wrong: str | None = None) -> web.Response:
    known = {"next": wanted if session.is_inside(wanted) else "", "wrong": wrong}
    return render(request, "sign_in.html", known, status=200 if wrong is None else 403)
