"""The first page: what the owner holds, from where, how big, what deduplication saves, and how it grew."""

from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web

from records.errors import SourceDown
from records.manifest import Manifest
from records.usage import Overview, Row, overview_of
from server.console import addresses, pictures
from server.console.guard import see_other
from server.console.rendering import render
from server.keys import CALLER, STORE

MOST = 20
"""Connectors that are named here; the page of connectors has all."""


async def page(request: web.Request) -> web.Response:
    """`GET /console`."""
    store, caller = request.app[STORE], request[CALLER]
    manifests = {each.key: each.manifest for each in await store.registry.connectors(caller.scope)}
    try:
        found = await overview_of(store, caller.owner)
    except SourceDown as error:
        return render(request, "overview_partly.html", {"wrong": str(error)})
    connectors = _connectors(found, manifests)
    total = found.total
    known = {
        "has_any": bool(manifests),
        "total": total,
        "bytes": total.record_bytes + total.blob_bytes,
        "parts": pictures.bar(
            [("text", total.record_bytes), ("held", total.blob_bytes), ("saved", total.saved_bytes)],
            total.record_bytes + total.logical_bytes,
        ),
        "share": round(100 * total.saved_bytes / max(total.logical_bytes, 1)),
        "connectors": connectors[:MOST],
        "others": max(len(connectors) - MOST, 0),
        "growth": pictures.growth(found.growth, f"{datetime.now(UTC):%Y-%m}"),
    }
    return render(request, "overview.html", known)


async def moved(request: web.Request) -> web.Response:
    """`GET /console/`: the cookie and the links are without the slash."""
    return see_other("/console")


def _connectors(found: Overview, manifests: dict[str, Manifest]) -> list[dict[str, object]]:
    """The largest first, each with a bar that is as long as its part of all."""
    by_connector: dict[str, list[Row]] = {key: [] for key in manifests}
    for row in found.streams:
        by_connector.setdefault(row.connector or "", []).append(row)
    most = max((_bytes(rows) for rows in by_connector.values()), default=0)
    keys = sorted(by_connector, key=lambda key: (-_bytes(by_connector[key]), key))
    return [_connector(key, manifests.get(key), by_connector[key], most) for key in keys]


def _connector(key: str, manifest: Manifest | None, rows: Sequence[Row], most: int) -> dict[str, object]:
    text, held = sum(each.record_bytes for each in rows), sum(each.blob_bytes for each in rows)
    saved = sum(each.saved_bytes for each in rows)
    return {
        "name": key if manifest is None else manifest.display_name,
        "address": addresses.connectors(key),
        "records": sum(each.records for each in rows),
        "bytes": text + held,
        "saved": saved,
        "parts": pictures.bar([("text", text), ("held", held), ("saved", saved)], most),
    }


def _bytes(rows: Sequence[Row]) -> int:
    return sum(each.record_bytes + each.logical_bytes for each in rows)
