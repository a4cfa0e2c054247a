"""The whole HTTP surface on one screen; the pages for people are in `console.routes`."""

from aiohttp import web

from server.auth import RESOURCE_METADATA, owner_only, owner_or_client, resource_server_or_owner
from server.console import routes as console
from server.errors import NoSuchRoute
from server.handlers import (
    blobs,
    connectors,
    erasures,
    export,
    grants,
    health,
    ingest,
    introspect,
    keeping,
    metrics,
    owner,
    possession,
    records,
    state,
    streams,
    uploads,
)
from server.keys import Handler
from server.middleware import hold_back
from server.routing import place, refusing

PUBLIC: dict[str, dict[str, Handler]] = {
    "/healthz": {"GET": health.alive},
    "/readyz": {"GET": health.ready},
    "/openapi.json": {"GET": health.openapi},
    RESOURCE_METADATA: {"GET": health.resource_metadata},
    uploads.PATH: {"OPTIONS": uploads.capabilities},
    f"{uploads.PATH}/{{upload_id}}": {"OPTIONS": uploads.capabilities},
}

OWNER: dict[str, dict[str, Handler]] = {
    "/v1/connectors": {"POST": connectors.register},
    "/connectors": {"POST": connectors.register},
    "/v1/connectors/{connector_id}": {"GET": connectors.manifest},
    "/v1/ingest/{stream}": {"POST": ingest.ingest},
    "/v1/state/{connector_id}": {"GET": state.read, "PUT": state.merge},
    "/v1/blobs": {"POST": blobs.upload},
    uploads.PATH: {**uploads.ALL},
    f"{uploads.PATH}/{{upload_id}}": {**uploads.ONE},
    "/v1/blobs/have": {"POST": possession.have},
    "/v1/blobs/claim": {"POST": possession.claim},
    "/v1/streams/{stream}/records": {"DELETE": records.erase_all},
    "/v1/streams/{stream}/records/{key}": {"DELETE": records.erase_one},
    "/v1/owner/connectors/{connector_id}": {"DELETE": erasures.erase_connector},
    "/v1/owner/blobs/{blob_id}": {"GET": keeping.explain},
    "/v1/owner/collect": {"POST": keeping.collect},
    "/v1/owner/usage": {"GET": keeping.usage},
    "/v1/owner/connections": {"GET": owner.connections},
    "/v1/owner/connections/{connection_id}": {"DELETE": erasures.erase_connection},
    "/v1/owner/erasures": {"GET": erasures.listed, "POST": erasures.erase},
    "/v1/owner/erasures/{erasure_id}": {"GET": erasures.one},
    "/v1/owner/export": {"GET": export.export},
    "/v1/owner/spine": {"GET": owner.spine},
    "/v1/owner/spine/checkpoint": {"GET": owner.checkpoint},
    "/v1/owner/disclosures": {"GET": owner.disclosures},
    "/v1/owner/grants": {"GET": grants.listed, "POST": grants.create},
    "/v1/owner/grants/{grant_id}/revoke": {"POST": grants.revoke},
}

READS: dict[str, dict[str, Handler]] = {
    "/v1/connectors": {"GET": connectors.listed},
    "/v1/streams": {"GET": streams.listed},
    "/v1/streams/{stream}": {"GET": streams.metadata},
    "/v1/streams/{stream}/records": {"GET": records.listed},
    "/v1/streams/{stream}/records/{key}": {"GET": records.one},
    "/v1/blobs/{blob_id}": {"GET": blobs.download},
}

WATCHERS: dict[str, dict[str, Handler]] = {
    "/metrics": {"GET": metrics.metrics},
}

SERVERS: dict[str, dict[str, Handler]] = {
    "/introspect": {"POST": introspect.answer},
}


def install(router: web.UrlDispatcher) -> None:
    """Put every route in place. Every `GET` answers `HEAD` too; what is not here is refused in the contract's form."""
    for path, methods in _guarded().items():
        place(router, path, methods, refusing(methods, "this path has other methods"))
    console.install(router)
    router.add_route("*", "/{anything:(?s:.*)}", _refuse_path, expect_handler=hold_back)


def _guarded() -> dict[str, dict[str, Handler]]:
    """Every route behind its guard; a path may stand in several tables, with other methods in each."""
    paths: dict[str, dict[str, Handler]] = {}
    guards = (
        (PUBLIC, _open),
        (WATCHERS, _open),
        (OWNER, owner_only),
        (READS, owner_or_client),
        (SERVERS, resource_server_or_owner),
    )
    for table, guard in guards:
        for path, methods in table.items():
            paths.setdefault(path, {}).update({method: guard(handler) for method, handler in methods.items()})
    return paths


def _open(handler: Handler) -> Handler:
    return handler


async def _refuse_path(request: web.Request) -> web.StreamResponse:
    raise NoSuchRoute("no such path")
