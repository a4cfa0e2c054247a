"""The records of a stream: filters, order, pages."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from records import jsontext
from records.consent.scope import Selector
from records.errors import Invalid
from records.manifest import StreamDeclaration
from records.model import Order
from records.reading.lens import Removed, Shown
from records.reading.query import Filter, Listing, Operator, filterable
from records.reading.reads import INLINE, RecordPage
from records.writing import links
from server import params
from server.console import addresses, asked, texts
from server.console.rendering import render
from server.keys import CALLER, STORE

LIMIT = 50
PIECES = 4
"""Of some thousand records each, which a search looks at for one page: a second's work."""

PATH = "/console/records"
_SIGNS = {Operator.EQ: "is", Operator.GTE: "≥", Operator.GT: ">", Operator.LTE: "≤", Operator.LT: "<"}


async def page(request: web.Request) -> web.Response:
    """`GET /console/records?connector=&stream=&instance=&order=&cursor=&by=&is=`; `by` and `is` make a filter."""
    pairs, rest = asked.repeated(request, "by", "is")
    given = [pair for pair in rest if pair[1].strip()]
    values = params.named(given, required=("connector", "stream"), optional=("instance", "order", "cursor"))
    place = asked.named(values)
    store, scope = request.app[STORE], request[CALLER].scope
    registration, declared = await store.reads.stream(scope, values["stream"], Selector(place.connector))
    chosen = [(by, text) for by, text in pairs if text.strip()]
    page, wrong = RecordPage([], None, None, None), None
    try:
        filters = [_filter(*each) for each in chosen]
        wanted = Listing(LIMIT, _order(values), values.get("cursor"), filters=filters, pieces=PIECES)
        page = await store.reads.page(scope, declared.name, place.selector, wanted)
    except Invalid as error:
        wrong = str(error)
    fields = texts.columns(declared)
    known = {
        "connector": registration.key,
        "connector_name": registration.manifest.display_name,
        "stream": declared.name,
        "instance": place.instance,
        "instances": [each.id for each in await store.registry.instances(scope) if each.connector == registration.key],
        "order": values.get("order", "desc"),
        "ordered_by": declared.cursor_field,
        "filters": [*chosen, ("", "")],
        "choices": _choices(declared),
        "fields": fields,
        "rows": await _rows(page.records, fields),
        "narrowed": bool(chosen or place.instance),
        "wrong": wrong,
        "first": _address(values, chosen, None) if "cursor" in values else None,
        "next": None if page.next_cursor is None else _address(values, chosen, page.next_cursor),
        "updated": page.last_updated,
        "attachments": addresses.attachments(registration.key, declared.name),
        "erase": None if place.instance is None else addresses.erase(registration.key, place.instance, declared.name),
    }
    return render(request, "records.html", known, status=200 if wrong is None else 400)


def _order(values: dict[str, str]) -> Order:
    order = values.get("order", "desc")
    if order not in tuple(Order):
        raise Invalid("the order is asc or desc", param="order")
    return Order(order)


def _filter(by: str, text: str) -> Filter:
    operator, _, field = by.partition(":")
    if operator not in tuple(Operator):
        raise Invalid("choose the field that the filter is about", param="by")
    return Filter(field, Operator(operator), text)


def _choices(declared: StreamDeclaration) -> list[tuple[str, str]]:
    """What may be filtered by: the value that the form sends, and what people read."""
    return [(f"{operator}:{field}", f"{field} {_SIGNS[operator]}") for field, operator in filterable(declared)]


def _address(values: dict[str, str], chosen: Sequence[tuple[str, ...]], cursor: str | None) -> str:
    """The same list, from another place on."""
    kept = {name: value for name, value in values.items() if name != "cursor"}
    address = addresses.page(PATH, **kept, cursor=cursor)
    return address + "".join(addresses.page("", by=by, **{"is": text}).replace("?", "&", 1) for by, text in chosen)


async def _rows(records: Sequence[Shown | Removed], fields: Sequence[str]) -> list[dict[str, Any]]:
    shown = [each for each in records if isinstance(each, Shown)]
    if sum(len(each.data) for each in shown) <= INLINE:
        return [_row(each, fields) for each in shown]
    return await asyncio.to_thread(lambda: [_row(each, fields) for each in shown])


def _row(of: Shown, fields: Sequence[str]) -> dict[str, Any]:
    data = jsontext.decode(of.data)
    return {
        "key": of.key[: texts.SHORT],
        "address": addresses.record(of.partition, of.key),
        "cells": texts.row(data, fields),
        "attachments": len(links.find(data)) if links.may_hold(of.data, b"blob_id") else 0,
        "instance": of.partition.instance,
    }
