"""The whole HTTP surface on one screen."""

from aiohttp import web

from server.auth import RESOURCE_METADATA, owner_only
from server.errors import MethodNotAllowed, NoSuchRoute
from server.handlers import blobs, connectors, health, ingest, owner, records, state, streams
from server.keys import Handler
from server.middleware import hold_back

PUBLIC: dict[str, dict[str, Handler]] = {
    "/healthz": {"GET": health.alive},
    "/readyz": {"GET": health.ready},
    "/openapi.json": {"GET": health.openapi},
    RESOURCE_METADATA: {"GET": health.resource_metadata},
}

OWNER: dict[str, dict[str, Handler]] = {
    "/v1/connectors": {"GET": connectors.listed, "POST": connectors.register},
    "/connectors": {"POST": connectors.register},
    "/v1/connectors/{connector_id}": {"GET": connectors.manifest},
    "/v1/ingest/{stream}": {"POST": ingest.ingest},
    "/v1/state/{connector_id}": {"GET": state.read, "PUT": state.merge},
    "/v1/blobs": {"POST": blobs.upload},
    "/v1/blobs/{blob_id}": {"GET": blobs.download},
    "/v1/streams": {"GET": streams.listed},
    "/v1/streams/{stream}": {"GET": streams.metadata},
    "/v1/streams/{stream}/records": {"GET": records.listed, "DELETE": records.erase_all},
    "/v1/streams/{stream}/records/{key}": {"GET": records.one, "DELETE": records.erase_one},
    "/v1/owner/connectors/{connector_id}": {"DELETE": owner.erase_connector},
    "/v1/owner/connections": {"GET": owner.connections},
    "/v1/owner/connections/{connection_id}": {"DELETE": owner.erase_connection},
    "/v1/owner/erasures/{erasure_id}": {"GET": owner.erasure},
    "/v1/owner/spine": {"GET": owner.spine},
    "/v1/owner/disclosures": {"GET": owner.disclosures},
}


def install(router: web.UrlDispatcher) -> None:
    """Put every route in place. Every `GET` answers `HEAD` too; what is not here is refused in the contract's form."""
    for table, guard in ((PUBLIC, _open), (OWNER, owner_only)):
        for path, methods in table.items():
            # aiohttp's own pattern for a part leaves braces out.
            resource = router.add_resource(path.replace("}", ":[^/]+}"))
            for method, handler in methods.items():
                for name in ("GET", "HEAD") if method == "GET" else (method,):
                    resource.add_route(name, guard(handler), expect_handler=hold_back)
            resource.add_route("*", _refuse_method(methods), expect_handler=hold_back)
    router.add_route("*", "/{anything:(?s:.*)}", _refuse_path, expect_handler=hold_back)


def _open(handler: Handler) -> Handler:
    return handler


def _refuse_method(methods: dict[str, Handler]) -> Handler:
    allowed = [*methods, "HEAD"] if "GET" in methods else list(methods)

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise MethodNotAllowed("this path has other methods", headers={"Allow": ", ".join(allowed)})

    return refuse


async def _refuse_path(request: web.Request) -> web.StreamResponse:
    raise NoSuchRoute("no such path")
