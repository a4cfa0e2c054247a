"""What the parts of the server find on the application and on a request, by typed keys."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from records.central import Owner
from records.consent.scope import Scope
from records.store import RecordStore
from server.config import Config
from server.metrics.page import Page
from server.readiness import Readiness
from server.slots import Slots
from server.stopping import Stopping
from server.telemetry import Traces

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what may be seen in the answer.

    `is_still_allowed` asks again, while the answer is being sent; None for whoever needs not be asked for.
    """

    owner: Owner
    scope: Scope
    is_still_allowed: Callable[[], Awaitable[bool]] | None = None


class Resolver(Protocol):
    """Says who asks: the store's own tokens, or an authorization server."""

    async def resolve(self, token: str) -> Scope | None:
        """What the bearer of this token may see; None for a token that is not good here.

        Raises `Forbidden` and `Invalid` for a client whose grant is not in force, `NoAuthorization`,
        `StorageUnavailable` when nobody knows.
        """
        ...


STORE = web.AppKey("store", RecordStore)
"""The store that every handler calls."""

CONFIG = web.AppKey("config", Config)
"""How this server was started."""

RESOLVER: web.AppKey[Resolver] = web.AppKey("resolver")
"""Who is asked what a token stands for."""

UPLOADS = web.AppKey("uploads", Slots)
"""Bodies of blobs that are received at once."""

INGESTS = web.AppKey("ingests", Slots)
"""Bodies of records that are received at once."""

READINESS = web.AppKey("readiness", Readiness)
"""Whether it can do its work."""

METRICS = web.AppKey("metrics", Page)
"""What is counted."""

TRACES = web.AppKey("traces", Traces)
"""Where requests are traced; absent where they are not."""

STOPPING = web.AppKey("stopping", Stopping)
"""Whether this server is about to end."""

REQUEST_ID = web.RequestKey("request_id", str)
"""Names this request in its answer and in the log; there before any handler runs."""

CALLER = web.RequestKey("caller", Caller)
"""Who asks; there in every handler of a route that needs a token."""
