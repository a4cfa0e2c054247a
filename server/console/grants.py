"""Grants: what clients may see, what each was shown, and taking it back."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from records import jsontext
from records.central import About, StoredGrant
from records.consent.grant_request import UNSTATED_PURPOSE
from server import params
from server.console import addresses, asked
from server.console.events import told
from server.console.guard import see_other
from server.console.rendering import render
from server.keys import CALLER, CONFIG, STORE

PATH = "/console/grants"
ONE = f"{PATH}/one"
LIMIT = 50


async def page(request: web.Request) -> web.Response:
    """`GET /console/grants?after=`: newest first, also those that have ended."""
    after = asked.values(request, ("after",)).get("after")
    found = await request.app[STORE].consents.latest(request[CALLER].owner, after, LIMIT + 1)
    names = await _names(request)
    known = {
        "grants": [_shown(request, each, names) for each in found[:LIMIT]],
        "elsewhere": made_elsewhere(request),
        "first": PATH if after is not None else None,
        "next": addresses.page(PATH, after=found[LIMIT - 1].id) if len(found) > LIMIT else None,
    }
    return render(request, "grants.html", known)


async def one(request: web.Request) -> web.Response:
    """`GET /console/grants/one?id=&after=`: its terms, and what its client was shown or refused, oldest first."""
    values = asked.values(request, ("after",), ("id",))
    store, owner = request.app[STORE], request[CALLER].owner
    grant = await store.consents.get(owner, values["id"])
    after = params.integer(values, "after", 0, minimum=0)
    found = await store.disclosures.listed(owner, About(grant.id, None, None), after, LIMIT + 1)
    events = [told(each) for each in found[:LIMIT]]
    known = {
        "grant": _shown(request, grant, await _names(request)),
        "terms": jsontext.decode(grant.document),
        "unstated": UNSTATED_PURPOSE,
        "events": events,
        "first": address(grant.id) if after else None,
        "next": address(grant.id, events[-1].seq) if len(found) > LIMIT else None,
        "revoke": addresses.page(f"{PATH}/revoke", id=grant.id),
    }
    return render(request, "grant.html", known)


async def revoke(request: web.Request) -> web.Response:
    """`POST /console/grants/revoke?id=`: at once."""
    name = asked.values(request, (), ("id",))["id"]
    await request.app[STORE].consents.revoke(request[CALLER].owner, name)
    return see_other(address(name))


def address(grant: str, after: int | None = None) -> str:
    """The page of a grant."""
    return addresses.page(ONE, id=grant, after=None if after is None else str(after))


def made_elsewhere(request: web.Request) -> bool:
    """Whether an authorization server makes the grants of this server's clients."""
    return request.app[CONFIG].introspect is not None


async def _names(request: web.Request) -> Mapping[str, str]:
    """What connectors call themselves, by key."""
    found = await request.app[STORE].registry.connectors(request[CALLER].scope)
    return {each.key: each.manifest.display_name for each in found}


def _shown(request: web.Request, of: StoredGrant, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": of.id,
        "address": address(of.id),
        "client": of.client,
        "connector": names.get(of.connector, of.connector),
        "status": request.app[STORE].consents.status(of),
        "created_at": of.created_at,
        "expires_at": of.expires_at,
        "revoked_at": of.revoked_at,
    }
