"""Who asks: from the `Authorization` header to an owner and a scope."""

import re
from functools import wraps

from aiohttp import hdrs, web

from blobstore.errors import BlobNotFound
from records.consent.access import GrantEnded
from records.consent.scope import Scope
from records.errors import Forbidden, Unknown
from server import basic
from server.address import base_url
from server.errors import Unauthenticated, code_of, shape
from server.keys import CALLER, CONFIG, RESOLVER, STORE, Caller, Handler

RESOURCE_METADATA = "/.well-known/oauth-protected-resource"

_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *\Z", re.IGNORECASE)


def owner_or_client(handler: Handler) -> Handler:
    """The handler behind a token: it runs, and the body is read, only once the caller is known.

    What a client is refused is on the owner's spine before the answer is.
    """

    @wraps(handler)
    async def authenticated(request: web.Request) -> web.StreamResponse:
        try:
            request[CALLER] = await authenticate(request)
            return await handler(request)
        except Exception as error:
            await note_refusal(request, error)
            raise

    return authenticated


def owner_only(handler: Handler) -> Handler:
    """The handler behind an owner's token; a client is refused before anything is looked at."""

    @wraps(handler)
    async def of_owner(request: web.Request) -> web.StreamResponse:
        _require_owner(request[CALLER])
        return await handler(request)

    return owner_or_client(of_owner)


def resource_server_or_owner(handler: Handler) -> Handler:
    """The handler behind the credentials of another resource server, or an owner's token (then there is a caller)."""

    @wraps(handler)
    async def authenticated(request: web.Request) -> web.StreamResponse:
        said = request.headers.getall(hdrs.AUTHORIZATION, [])
        if len(said) != 1 or not basic.is_known(said[0], request.app[CONFIG].introspect_clients):
            try:
                request[CALLER] = await authenticate(request)
            except Unauthenticated as error:
                error.headers[hdrs.WWW_AUTHENTICATE] += ', Basic realm="introspection"'
                raise
            _require_owner(request[CALLER])
        return await handler(request)

    return authenticated


def bearer(request: web.Request) -> str | None:
    """The bearer token that the request carries; None: it carries none, or several."""
    values = request.headers.getall(hdrs.AUTHORIZATION, [])
    found = _BEARER.match(values[0]) if len(values) == 1 else None
    return None if found is None else found[1]


async def authenticate(request: web.Request) -> Caller:
    """The caller whose token the request carries. Raises `Unauthenticated`; reads no byte of the body.

    A token is told apart only by what it resolves to: kinds that this server does not serve are as unknown ones.
    Raises as `Resolver.resolve`, too.
    """
    token = bearer(request)
    if token is None:
        raise _refused(request, "a token is needed: Authorization: Bearer <token>")
    caller = await caller_of(request, token)
    if caller is None:
        raise _refused(request, "the token is not known here, has expired or was revoked")
    return caller


async def caller_of(request: web.Request, token: str) -> Caller | None:
    """Who has this token; None when it is not good here. Raises as `Resolver.resolve`."""
    resolver = request.app[RESOLVER]
    scope = await resolver.resolve(token)
    if scope is None:
        return None

    async def is_still_allowed() -> bool:
        try:
            return await resolver.resolve(token) == scope
        except Forbidden:
            return False

    return Caller(scope.owner, scope, is_still_allowed)


def _require_owner(caller: Caller) -> None:
    if caller.scope.grant is not None:
        raise Forbidden("Owner token required", "insufficient_scope")


async def note_refusal(request: web.Request, error: Exception) -> None:
    """Put a refusal on the owner's spine: all of a client's, and whatever an owner was told is not there."""
    scope: Scope | None = error.scope if isinstance(error, GrantEnded) else None
    if scope is None and CALLER in request:
        scope = request[CALLER].scope
    resource = request.match_info.route.resource
    if scope is None or resource is None or shape(error, request.method).status >= 500:
        return
    if scope.grant is not None or isinstance(error, Unknown | BlobNotFound):
        route = f"{request.method} {resource.canonical}"
        await request.app[STORE].disclosures.refused(scope, code_of(error, request.method), route)


def _refused(request: web.Request, message: str) -> Unauthenticated:
    where = base_url(request) + RESOURCE_METADATA
    return Unauthenticated(
        message,
        headers={hdrs.WWW_AUTHENTICATE: f'Bearer resource_metadata="{where}"'},
        members={"resource_metadata": where},
    )
