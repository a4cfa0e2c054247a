"""What only the owner may: their connections and audit log."""

from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from records.central import About, Instance, SpineEvent
from records.manifest import connector_key
from server import params, wire
from server.keys import CALLER, STORE

EVENTS = ("after", "limit")
DEFAULT_EVENTS = 100
MAX_EVENTS = 1000


async def connections(request: web.Request) -> web.Response:
    """`GET /v1/owner/connections`: the living instances of all connectors."""
    params.query(request)
    instances = await request.app[STORE].registry.instances(request[CALLER].scope)
    return wire.listing([_connection(each) for each in instances])


async def spine(request: web.Request) -> web.Response:
    """`GET /v1/owner/spine?after=&limit=`: events of the audit log beyond `after`, oldest first."""
    after, limit = _events_asked(params.query(request, optional=EVENTS))
    return _events(await request.app[STORE].audit.events(request[CALLER].owner, after, limit + 1), after, limit)


async def checkpoint(request: web.Request) -> web.Response:
    """`GET /v1/owner/spine/checkpoint`: a signed document about the newest event, to be kept elsewhere."""
    params.query(request)
    return wire.raw_reply((await request.app[STORE].checkpoints.newest(request[CALLER].owner)).document)


async def disclosures(request: web.Request) -> web.Response:
    """`GET /v1/owner/disclosures?grant=&connector=&blob=`: what clients were shown or refused, oldest first."""
    values = params.query(request, optional=("grant", "connector", "blob", *EVENTS))
    after, limit = _events_asked(values)
    connector = None if "connector" not in values else connector_key(values["connector"])
    about = About(values.get("grant"), connector, values.get("blob"))
    found = await request.app[STORE].disclosures.listed(request[CALLER].owner, about, after, limit + 1)
    return _events(found, after, limit)


def _connection(instance: Instance) -> dict[str, object]:
    return {
        "object": "connection",
        "connection_id": instance.id,
        "connector_instance_id": instance.id,
        "connector_id": instance.connector,
        "is_default": instance.is_default,
        "created_at": instance.created_at,
    }


def _events_asked(values: Mapping[str, str]) -> tuple[int, int]:
    """After which event, and how many."""
    limit = params.integer(values, "limit", DEFAULT_EVENTS, minimum=1)
    return params.integer(values, "after", 0, minimum=0), min(limit, MAX_EVENTS)


def _events(found: Sequence[SpineEvent], after: int, limit: int) -> web.Response:
    """A page of events; `found` has one more than that where there are more."""
    shown = found[:limit]
    next_after = shown[-1].seq if shown else after
    return wire.listing([_event(each) for each in shown], has_more=len(found) > limit, next_after=next_after)


def _event(event: SpineEvent) -> dict[str, object]:
    return {
        "object": "spine_event",
        "seq": event.seq,
        "at": event.at,
        "body": msgspec.Raw(event.body),
        "previous": event.previous.hex(),
        "hash": event.hash.hex(),
    }
