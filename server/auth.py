"""Who asks: from the `Authorization` header to an owner and a scope."""

import re
from functools import wraps

from aiohttp import web

from records.scope import Scope
from server.address import base_url
from server.errors import Unauthenticated
from server.keys import CALLER, STORE, Caller, Handler

RESOURCE_METADATA = "/.well-known/oauth-protected-resource"

_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *\Z", re.IGNORECASE)


def owner_only(handler: Handler) -> Handler:
    """The handler behind an owner's token: it runs, and the body is read, only once the caller is known."""

    @wraps(handler)
    async def authenticated(request: web.Request) -> web.StreamResponse:
        request[CALLER] = await authenticate(request)
        return await handler(request)

    return authenticated


async def authenticate(request: web.Request) -> Caller:
    """The caller whose token the request carries. Raises `Unauthenticated`; reads no byte of the body.

    A token is told apart only by what it resolves to: kinds that this server does not serve are as unknown ones.
    """
    values = request.headers.getall("Authorization", [])
    found = _BEARER.match(values[0]) if len(values) == 1 else None
    if found is None:
        raise _refused(request, "a token is needed: Authorization: Bearer <token>")
    token = await request.app[STORE].access.resolve(found[1])
    if token is None or token.kind != "owner":
        raise _refused(request, "the token is not known here, has expired or was revoked")
    return Caller(token.owner, Scope.of_owner(token.owner))


def _refused(request: web.Request, message: str) -> Unauthenticated:
    where = base_url(request) + RESOURCE_METADATA
    return Unauthenticated(
        message,
        headers={"WWW-Authenticate": f'Bearer resource_metadata="{where}"'},
        members={"resource_metadata": where},
    )
