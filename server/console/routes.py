"""Every address of the console on one screen."""

from aiohttp import web

from server.console import (
    attachments,
    blobs,
    connectors,
    erase,
    erased,
    erasures,
    explain,
    export,
    granting,
    grants,
    overview,
    record,
    records,
    session,
    sign_in,
    spine,
    static,
)
from server.console.guard import as_page, for_anyone, for_owner, recognise
from server.errors import NoSuchRoute
from server.keys import Handler
from server.middleware import hold_back
from server.routing import place, refusing

ANYONE: dict[str, dict[str, Handler]] = {
    "/console/sign-in": {"GET": sign_in.page, "POST": sign_in.sign_in},
    "/console/erased": {"GET": erased.page},
    "/console/erased/receipt": {"GET": erased.receipt},
    "/console/static/{name}": {"GET": static.file},
}

OWNER: dict[str, dict[str, Handler]] = {
    "/console": {"GET": overview.page},
    "/console/": {"GET": overview.moved},
    "/console/connectors": {"GET": connectors.page},
    "/console/records": {"GET": records.page},
    "/console/record": {"GET": record.page},
    "/console/record/json": {"GET": record.text},
    "/console/attachments": {"GET": attachments.page},
    "/console/blobs/{blob_id}": {"GET": blobs.page},
    "/console/blobs/{blob_id}/content": {"GET": blobs.content},
    "/console/blobs/{blob_id}/thumbnail": {"GET": blobs.thumbnail},
    "/console/explain": {"GET": explain.page},
    "/console/grants": {"GET": grants.page},
    "/console/grants/make": {"GET": granting.page, "POST": granting.make},
    "/console/grants/one": {"GET": grants.one},
    "/console/grants/revoke": {"POST": grants.revoke},
    "/console/spine": {"GET": spine.page},
    "/console/spine/verify": {"POST": spine.verify},
    "/console/spine/checkpoint": {"GET": spine.checkpoint},
    "/console/erase": {"GET": erase.page, "POST": erase.act},
    "/console/erasure": {"GET": erasures.page},
    "/console/erasure/receipt": {"GET": erasures.receipt},
    "/console/export": {"GET": export.page},
    "/console/export/make": {"GET": export.make},
    "/console/export/bag": {"GET": export.bag},
    "/console/sign-out": {"POST": sign_in.sign_out},
}


def install(router: web.UrlDispatcher) -> None:
    """Put every page in place. Every `GET` answers `HEAD` too; errors are pages."""
    for table, guard in ((ANYONE, for_anyone), (OWNER, for_owner)):
        for path, methods in table.items():
            guarded = {method: guard(handler) for method, handler in methods.items()}
            place(router, path, guarded, as_page(refusing(methods, "this page is not asked in that way")))
    router.add_route("*", "/console/{anything:(?s:.*)}", as_page(_refuse_path), expect_handler=hold_back)


async def _refuse_path(request: web.Request) -> web.StreamResponse:
    if (token := session.token_of(request)) is not None:
        await recognise(request, token)  # whose page of the error has the navigation
    raise NoSuchRoute("there is no such page")
