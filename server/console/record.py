"""One record: its fields, what is attached to it, and its JSON."""

import asyncio
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from records import jsontext
from records.consent.scope import Selector
from records.reading.lens import Shown
from records.reading.query import Shape
from records.reading.reads import INLINE
from records.writing import links
from server.console import addresses, asked, media, texts
from server.console.rendering import render
from server.disposition import content_disposition
from server.keys import CALLER, STORE

MAX_TILES = 200
MAX_FIELDS = 500
MAX_JSON = 200_000
"""Characters of a record's JSON that its page shows."""

_PLACE = ("connector", "stream", "key")


async def page(request: web.Request) -> web.Response:
    """`GET /console/record?connector=&instance=&stream=&key=`."""
    values = asked.values(request, ("instance",), _PLACE)
    store, scope = request.app[STORE], request[CALLER].scope
    place = asked.named(values)
    registration, declared = await store.reads.stream(scope, values["stream"], Selector(place.connector))
    found = await store.reads.record(scope, declared.name, values["key"], place.selector, Shape())
    shown = _shown(found) if len(found.data) <= INLINE else await asyncio.to_thread(_shown, found)
    part = found.partition
    known = {
        "key": found.key,
        "connector_name": registration.manifest.display_name,
        "stream": part.stream,
        "instance": part.instance,
        "emitted_at": found.emitted_at,
        "records": addresses.records(part.connector, part.stream),
        "save": addresses.page("/console/record/json", **values),
        "erase": addresses.erase(part.connector, part.instance, part.stream, found.key),
        **shown,
    }
    return render(request, "record.html", known)


async def text(request: web.Request) -> web.Response:
    """`GET /console/record/json?connector=&instance=&stream=&key=`: its data whole, to be saved."""
    values = asked.values(request, ("instance",), _PLACE)
    store, scope = request.app[STORE], request[CALLER].scope
    selector = asked.named(values).selector
    found = await store.reads.record(scope, values["stream"], values["key"], selector, Shape())
    headers = {
        "Content-Disposition": content_disposition("application/json", f"{found.key[:60]}.json"),
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return web.Response(body=found.data, content_type="application/json", headers=headers)


def _shown(found: Shown) -> dict[str, Any]:
    data = jsontext.decode_exact(found.data)
    references = {each.blob_id: each for each in links.find(data)}
    text = msgspec.json.format(found.data, indent=2)[: MAX_JSON * 4].decode(errors="ignore")
    filled = {name: value for name, value in data.items() if value is not None}
    return {
        "fields": [texts.value(name, value, texts.LONG) for name, value in islice(filled.items(), MAX_FIELDS)],
        "hidden_fields": max(len(filled) - MAX_FIELDS, 0),
        "empty_fields": [name for name, value in islice(data.items(), MAX_FIELDS) if value is None],
        "tiles": [media.tile_of(each) for each in list(references.values())[:MAX_TILES]],
        "attachments": len(references),
        "json": text[:MAX_JSON],
        "json_is_cut": len(text) > MAX_JSON or len(found.data) > MAX_JSON * 4,
    }
