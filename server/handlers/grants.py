"""Grants: what an owner lets clients see, and takes back."""

import msgspec
from aiohttp import web

from records.central import StoredGrant
from records.consent.grant_request import GrantRequest
from records.errors import Conflict
from server import params, wire
from server.keys import CALLER, CONFIG, STORE

MAX_BYTES = 1 << 20


async def create(request: web.Request) -> web.Response:
    """`POST /v1/owner/grants`: 201 with the grant and its client's token, which is told only here."""
    params.query(request)
    if request.app[CONFIG].introspect is not None:
        raise Conflict("tokens are made by the authorization server: make the grant there")
    asked = await wire.read(request, GrantRequest, MAX_BYTES)
    made, token = await request.app[STORE].consents.create(request[CALLER].owner, asked)
    return wire.reply(_grant(request, made) | {"token": token}, status=201)


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/owner/grants`: oldest first, also those that have ended."""
    params.query(request)
    found = await request.app[STORE].consents.listed(request[CALLER].owner)
    return wire.listing([_grant(request, each) for each in found])


async def revoke(request: web.Request) -> web.Response:
    """`POST /v1/owner/grants/{grant_id}/revoke`: at once; again changes nothing."""
    params.query(request)
    name = params.path_part(request, "grant_id")
    return wire.reply(_grant(request, await request.app[STORE].consents.revoke(request[CALLER].owner, name)))


def _grant(request: web.Request, of: StoredGrant) -> dict[str, object]:
    return {
        "object": "grant",
        "grant_id": of.id,
        "client_id": of.client,
        "status": request.app[STORE].consents.status(of),
        "created_at": of.created_at,
        "revoked_at": of.revoked_at,
        "grant": msgspec.Raw(of.document),
    }
