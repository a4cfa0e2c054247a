"""Erasing: what would go and what would stay, a typed confirmation, and the way to its progress."""

import unicodedata
from collections.abc import Mapping

from aiohttp import web

from records.erasure.erasures import new_id
from records.erasure.report import Covered, Kind
from records.erasure.request import ErasureRequest, covered
from records.errors import Conflict, Invalid
from server import params
from server.console import addresses, erasures, session
from server.console.guard import FORM, see_other
from server.console.rendering import render
from server.handlers.erasures import WAIT
from server.keys import CALLER, STORE

PATH = "/console/erase"
PATIENCE = 1.0
"""Seconds after which the page of progress is shown instead of waiting longer."""

MAX_WORD = 60
ANY_WORD = "erase"
"""What is typed where the name of what goes cannot be typed well."""

ALL = "yes"


async def page(request: web.Request) -> web.Response:
    """`GET /console/erase?connector=&instance=&stream=&key=`, or `?everything=yes`: a preview; else what to choose."""
    return await _page(request, _named(request))


async def act(request: web.Request) -> web.Response:
    """`POST` there: erase what the address names, once its name was typed."""
    named = _named(request)
    goes = await _covered(request, named)
    if not _is_same(request[FORM].get("typed", ""), await _word(request, goes)):
        return await _page(request, named, "That is not what has to be typed. Nothing was erased.")
    if goes.kind == "owner":
        return await _all(request, goes)
    begun = await request.app[STORE].erasures.erase(request[CALLER].owner, goes, wait=WAIT, within=PATIENCE)
    return see_other(erasures.address(begun.report.id))


async def _all(request: web.Request, goes: Covered) -> web.Response:
    store, owner = request.app[STORE], request[CALLER].owner
    given = request.rel_url.query.get("pass") or store.passes.of(owner, new_id())
    erasure = store.passes.opened(owner, given)
    try:
        await store.erasures.erase(owner, goes, wait=WAIT, within=PATIENCE, erasure=erasure)
    except Conflict:
        if not await store.passes.is_begun(given):
            raise
        # The form was sent twice, and a browser shows the second answer alone: it leads to the receipt, too.
        await store.erasures.finish(owner, erasure, wait=PATIENCE)
    response = see_other(addresses.erased(given))
    session.end(response)  # it goes with everything else
    return response


def _named(request: web.Request) -> Mapping[str, str]:
    # Strictly: a blank name that is left out would make the erasure larger.
    named = params.query(request, optional=("connector", "instance", "stream", "key", "everything", "pass"))
    return {name: value for name, value in named.items() if name != "pass"}


async def _covered(request: web.Request, named: Mapping[str, str]) -> Covered:
    return await covered(request.app[STORE].erasures, request[CALLER].owner, _request(named))


def _request(named: Mapping[str, str]) -> ErasureRequest:
    """The request that an address means. Raises `Invalid` for names that do not go together."""
    everything, others = named.get("everything"), {name for name in named if name != "everything"}
    if everything is not None:
        if everything != ALL or others:
            raise Invalid("everything is erased with everything=yes alone", param="everything")
        return ErasureRequest("owner")
    connector, instance, stream, key = (named.get(name) for name in ("connector", "instance", "stream", "key"))
    if connector is None:
        raise Invalid("the address names nothing to erase; choose it", param="connector")
    if key is not None and stream is None:
        raise Invalid("a record is erased with its stream named", param="stream")
    if stream is not None:
        scope: Kind = "stream" if key is None else "record"
        return ErasureRequest(scope, connector_id=connector, connection_id=instance, stream=stream, key=key)
    if instance is not None:
        return ErasureRequest("instance", connector_id=connector, connection_id=instance)
    return ErasureRequest("connector", connector_id=connector)


async def _page(request: web.Request, named: Mapping[str, str], wrong: str | None = None) -> web.Response:
    store, owner = request.app[STORE], request[CALLER].owner
    if not named:
        return await _choices(request)
    goes = await _covered(request, named)
    preview = await store.erasures.preview(owner, goes)
    # Made before: who sends the form twice is nobody any more when the second one comes.
    given = store.passes.of(owner, new_id()) if goes.kind == "owner" else None
    known = {
        "covered": goes,
        "what": await _what(request, goes),
        "word": await _word(request, goes),
        "preview": preview,
        "action": addresses.page(PATH, **named, **{"pass": given}),
        "wrong": wrong,
    }
    return render(request, "erase.html", known, status=200 if wrong is None else 400)


async def _choices(request: web.Request) -> web.Response:
    store, scope = request.app[STORE], request[CALLER].scope
    instances: dict[str, list[str]] = {}
    for each in await store.registry.instances(scope):
        instances.setdefault(each.connector, []).append(each.id)
    connectors = [
        {
            "name": each.manifest.display_name,
            "address": addresses.erase(each.key),
            "instances": [(name, addresses.erase(each.key, name)) for name in instances.get(each.key, ())],
        }
        for each in await store.registry.connectors(scope)
    ]
    known = {"connectors": connectors, "everything": addresses.page(PATH, everything=ALL)}
    return render(request, "erase_choices.html", {**known, **await erasures.listed(request)})


async def _what(request: web.Request, goes: Covered) -> str:
    """What goes, in a few words."""
    if goes.kind == "owner":
        return "everything"
    name = await _connector_name(request, goes)
    match goes.kind:
        case "connector":
            return f"everything from {name}"
        case "instance":
            return f"the connection {goes.instances[0]} of {name}"
        case "stream":
            return f"the stream {goes.stream} of {name}"
    return f"the record {goes.key} of {goes.stream} of {name}"


async def _word(request: web.Request, goes: Covered) -> str:
    """The name of what goes, where people can type it: what has to be typed."""
    match goes.kind:
        case "owner":
            word = request[CALLER].owner.subject
        case "connector":
            word = await _connector_name(request, goes)
        case "instance":
            word = goes.instances[0]
        case "stream":
            word = goes.stream or ""
        case _:
            word = goes.key or ""
    typed = " ".join(word.split())
    return word if word == typed and word.isprintable() and 0 < len(word) <= MAX_WORD else ANY_WORD


def _is_same(typed: str, word: str) -> bool:
    # Keyboards compose letters in their own way.
    return unicodedata.normalize("NFC", typed.strip()) == unicodedata.normalize("NFC", word)


async def _connector_name(request: web.Request, goes: Covered) -> str:
    found = await request.app[STORE].registry.connector(request[CALLER].scope, goes.connector or "")
    return found.manifest.display_name
