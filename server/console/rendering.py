"""From a template to an answer: what templates know, and the headers that keep a page to itself."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web

from server.console import session, static
from server.console.navigation import NAVIGATION, entry_of
from server.console.shown import FILTERS
from server.keys import CALLER, REQUEST_ID

POLICY = "; ".join(
    (
        "default-src 'none'",  # and so no script at all
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    # Not `no-referrer`: forms would come without their origin.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""What every page carries."""


GROWS = "<!-- it grows here -->"
"""Stands in the template of a page that is sent little by little."""


def install(app: web.Application) -> None:
    """Give the application its templates; they are read from the package when they are first asked for."""
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("server.console"),
        filters=FILTERS,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    request: web.Request, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> web.Response:
    """The page that the template makes of this context.

    Beside the context every template has `owner` (the name of who is signed in, None on the way in), `form_key`,
    `navigation`, `here` (the path of the page), `entry` (where it belongs in the navigation), `request_id` and `style`
    (the address of the style sheet).
    """
    token = session.token_of(request)
    signed_in = CALLER in request and token is not None
    known = {
        "owner": request[CALLER].owner.subject if signed_in else None,
        "form_key": session.form_key(token) if token is not None and signed_in else None,
        "navigation": NAVIGATION,
        "here": request.path,
        "entry": entry_of(request.path),
        "request_id": request[REQUEST_ID],
        "style": static.address("console.css"),
        "icon": static.address("icon.svg"),
    }
    response = aiohttp_jinja2.render_template(template, request, {**known, **(context or {})}, status=status)
    response.headers.update(HEADERS)
    return response


def part(request: web.Request, template: str, context: Mapping[str, Any]) -> bytes:
    """What the template of a part of a page makes of this context."""
    return aiohttp_jinja2.render_string(template, request, context).encode()


@asynccontextmanager
async def growing(request: web.Request, template: str) -> AsyncIterator[web.StreamResponse]:
    """The page as far as `GROWS`; what is written into it comes there, and its rest at the end of the block."""
    whole = render(request, template)
    before, _, after = (whole.text or "").partition(GROWS)
    page = web.StreamResponse(headers={**whole.headers, "X-Accel-Buffering": "no"})  # nginx holds nothing back
    await page.prepare(request)
    await page.write(before.encode())
    yield page
    await page.write(after.encode())
    await page.write_eof()
