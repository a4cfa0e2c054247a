"""What the parts of the server find on the application and on a request, by typed keys."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from records.central import Owner
from records.scope import Scope
from records.store import RecordStore
from server.config import Config

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what may be seen in the answer.

    `is_still_allowed` asks again, while the answer is being sent; None for whoever needs not be asked for.
    """

    owner: Owner
    scope: Scope
    is_still_allowed: Callable[[], Awaitable[bool]] | None = None


STORE = web.AppKey("store", RecordStore)
"""The store that every handler calls."""

CONFIG = web.AppKey("config", Config)
"""How this server was started."""

REQUEST_ID = web.RequestKey("request_id", str)
"""Names this request in its answer and in the log; there before any handler runs."""

CALLER = web.RequestKey("caller", Caller)
"""Who asks; there in every handler of a route that needs a token."""
