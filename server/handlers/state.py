"""Sync state: what a connector remembers between two runs."""

from typing import Any

import msgspec
from aiohttp import web

from records.consent.scope import Selector
from records.writing.state import SyncState
from server import params, wire
from server.keys import CALLER, STORE

MAX_BYTES = 16 << 20
"""Bytes of one `PUT`: a large import keeps megabytes of positions per stream."""


class StateBody(msgspec.Struct):
    """The body of a `PUT`; each stream's value stays the text that it came as."""

    state: dict[str, msgspec.Raw]


async def read(request: web.Request) -> web.Response:
    """`GET /v1/state/{connector_id}`."""
    selector, grant = _place(request)
    return wire.reply(_state(await request.app[STORE].states.get(request[CALLER].owner, selector, grant)))


async def merge(request: web.Request) -> web.Response:
    """`PUT /v1/state/{connector_id}`: sets the named streams, leaves the others."""
    selector, grant = _place(request)
    body = await wire.read(request, StateBody, MAX_BYTES)
    state = {stream: bytes(value) for stream, value in body.state.items()}
    return wire.reply(_state(await request.app[STORE].states.merge(request[CALLER].owner, selector, state, grant)))


def _place(request: web.Request) -> tuple[Selector, str | None]:
    """Whose state is meant, and under which grant."""
    values = params.query(request, optional=(*params.INSTANCE, *params.RUN, "grant_id"))
    return params.selector(values, params.path_part(request, "connector_id")), values.get("grant_id")


def _state(of: SyncState) -> dict[str, Any]:
    return {
        "object": "stream_state",
        "connector_id": of.registration.key,
        "grant_id": of.grant,
        "state": {stream: msgspec.Raw(value) for stream, value in of.state.items()},
        "updated_at": of.updated_at,
    }
