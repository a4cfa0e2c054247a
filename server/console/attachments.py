"""Attachments as a gallery, connector by connector."""

from aiohttp import web

from records.errors import Invalid
from records.reading.gallery import Attached, Kind
from server.console import addresses, asked
from server.console.media import Tile
from server.console.rendering import render
from server.keys import CALLER, STORE

PATH = "/console/attachments"
LIMIT = 60


async def page(request: web.Request) -> web.Response:
    """`GET /console/attachments?connector=&stream=&kind=&cursor=`; without a connector those of the first by key."""
    values = asked.values(request, ("connector", "instance", "stream", "kind", "cursor"))
    store, scope = request.app[STORE], request[CALLER].scope
    connectors = {each.key: each.manifest for each in await store.registry.connectors(scope)}
    known: dict[str, object] = {
        "connectors": [(key, each.display_name) for key, each in connectors.items()],
        "kinds": list(Kind),
        "kind": values.get("kind", ""),
        "stream": values.get("stream"),
        "connector": None,
        "tiles": [],
        "next": None,
        "first": None,
    }
    if connectors:
        place = asked.named({"connector": next(iter(connectors)), **values})
        chosen = await store.registry.connector(scope, place.connector)
        found = await store.galleries.page(
            scope,
            place.selector,
            stream=place.stream,
            kind=_kind(values),
            cursor=values.get("cursor"),
            limit=LIMIT,
        )
        kept = {**values, "connector": chosen.key, "cursor": None}
        known["connector"] = chosen.key
        known["tiles"] = [_tile(each) for each in found.attached]
        if found.next_cursor is not None:
            known["next"] = addresses.page(PATH, **{**kept, "cursor": found.next_cursor})
        if "cursor" in values:
            known["first"] = addresses.page(PATH, **kept)
    return render(request, "attachments.html", known)


def _kind(values: dict[str, str]) -> Kind | None:
    named = values.get("kind")
    if named is not None and named not in tuple(Kind):
        raise Invalid("there is no such kind of attachments", param="kind")
    return None if named is None else Kind(named)


def _tile(of: Attached) -> Tile:
    name = of.filename or of.media_type
    return Tile(str(of.digest), name, of.media_type, of.size, addresses.record(of.partition, of.key))
