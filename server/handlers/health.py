"""Whether the server lives, whether it can do its work, and what a client must know before it has a token."""

from aiohttp import web

from server import api, readiness, wire
from server.address import base_url
from server.keys import CONFIG, READINESS, REQUEST_ID, STORE
from server.middleware import SERVER


async def alive(request: web.Request) -> web.Response:
    """`GET /healthz`: the process answers."""
    return wire.reply({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """`GET /readyz`: 200 when uploads, ingests and reads can be served; else 503, and what is wrong."""
    checks = await request.app[READINESS].check(request[REQUEST_ID])
    if readiness.is_ready(checks):
        return wire.reply({"status": "ready", "checks": checks})
    return wire.reply({"status": "unavailable", "checks": checks}, status=503)


async def openapi(request: web.Request) -> web.Response:
    """`GET /openapi.json`: the surface, for programs."""
    return wire.raw_reply(api.text())


async def resource_metadata(request: web.Request) -> web.Response:
    """`GET /.well-known/oauth-protected-resource` (RFC 9728)."""
    base = base_url(request)
    return wire.reply(
        {
            "resource": base,
            "resource_name": SERVER,
            "authorization_servers": request.app[CONFIG].authorization_servers,
            "bearer_methods_supported": ["header"],
            "pdpp_core_query_base": f"{base}/v1",
            "pdpp_self_export_supported": True,
            "signing_public_key": request.app[STORE].erasures.public_key,
            "pdpp_token_kinds_supported": ["owner", "client"],
            "pdpp_discovery_hints": {
                "query_base": f"{base}/v1",
                "streams_endpoint_template": f"{base}/v1/streams/{{stream}}",
                "blob_indirection": "data.blob_ref.fetch_url",
                "changes_since_bootstrap": "beginning",
            },
        }
    )
