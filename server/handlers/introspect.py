"""What a token of this server stands for (RFC 7662), told to other resource servers and to owners."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from aiohttp import web

from records import jsontext
from records.central import Owner
from records.consent import introspection
from records.consent.access import GrantEnded, Standing
from records.errors import Forbidden, Invalid
from server import wire
from server.address import base_url
from server.body import require_type, whole
from server.keys import CALLER, CONFIG, STORE

MAX_BYTES = 16 << 10


async def answer(request: web.Request) -> web.Response:
    """`POST /introspect`: 200 for every token, good or not; to an owner only their own are good."""
    token = await _token(request)
    if request.app[CONFIG].introspect is not None:
        return wire.reply(introspection.INACTIVE)  # this server's own tokens open nothing
    return wire.reply(await _standing(request, token, request[CALLER].owner if CALLER in request else None))


async def _standing(request: web.Request, token: str, owner: Owner | None) -> Mapping[str, object]:
    try:
        found = await request.app[STORE].access.standing(token)
    except GrantEnded as error:
        return _ended(error.code) if owner in (None, error.scope.owner) else introspection.INACTIVE
    except (Forbidden, Invalid):
        return _ended("grant_invalid") if owner is None else introspection.INACTIVE
    if found is None or owner not in (None, found.scope.owner):
        return introspection.INACTIVE
    return {"iss": base_url(request), **_described(found)}


def _ended(reason: str) -> dict[str, object]:
    return {**introspection.INACTIVE, "inactive_reason": reason}


def _described(of: Standing) -> dict[str, object]:
    if of.grant is None:
        return introspection.of_owner(of.token.owner.subject) | introspection.expiry(of.token.expires_at)
    document = jsontext.decode(of.grant.document)
    return introspection.of_client(document, of.grant.connector) | introspection.expiry(of.grant.expires_at)


async def _token(request: web.Request) -> str:
    require_type(request, "application/x-www-form-urlencoded")
    body = await whole(request, MAX_BYTES)
    try:
        values = parse_qs(body.decode("ascii"), errors="strict", keep_blank_values=True)
    except ValueError:
        raise Invalid("the body is no form") from None
    given = values.get("token", [])
    if len(given) != 1 or not given[0]:
        raise Invalid("token is needed, once", param="token")
    return given[0]
