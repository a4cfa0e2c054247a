"""The audit log: its events, whether the chain is sound, and checkpoints to be kept elsewhere."""

from collections.abc import Mapping

from aiohttp import web

from records.audit.verification import Verification
from records.central import Owner, SpineEvent
from records.signing import MAX_SIZE, NotGenuine
from server import params
from server.console import addresses, asked
from server.console.events import told
from server.console.guard import FORM
from server.console.rendering import HEADERS, render
from server.disposition import content_disposition
from server.keys import CALLER, STORE

PATH = "/console/spine"
LIMIT = 50


async def page(request: web.Request) -> web.Response:
    """`GET /console/spine?before=`: the events before this one, newest first."""
    return await _page(request, asked.values(request, ("before",)))


async def verify(request: web.Request) -> web.Response:
    """`POST /console/spine/verify`: the whole chain, held against all checkpoints and one that was kept elsewhere."""
    kept, owner = request[FORM].get("kept", "").strip(), request[CALLER].owner
    checkpoints = request.app[STORE].checkpoints
    try:
        known = await _known(request, owner, kept) if kept else {}
    except NotGenuine as error:
        return await _page(request, {}, kept=kept, wrong=f"What was kept proves nothing about this log: {error}.")
    return await _page(request, {}, kept=kept, verified=await checkpoints.verify(owner, known))


async def checkpoint(request: web.Request) -> web.Response:
    """`GET /console/spine/checkpoint`: a signed document about the newest event, to be kept elsewhere."""
    asked.values(request, ())
    newest = await request.app[STORE].checkpoints.newest(request[CALLER].owner)
    return document(newest.document, f"checkpoint-{newest.seq}.json")


def document(text: bytes, name: str) -> web.Response:
    """A signed document, to be saved."""
    headers = {**HEADERS, "Content-Disposition": content_disposition("application/json", name)}
    return web.Response(body=text, content_type="application/json", headers=headers)


async def _known(request: web.Request, owner: Owner, kept: str) -> Mapping[int, bytes]:
    text = kept.encode("utf-8", "surrogatepass")
    if len(text) > MAX_SIZE:
        raise NotGenuine("it is too long")
    head = await request.app[STORE].checkpoints.read(owner, text)
    return {head.seq: bytes.fromhex(head.hash)}


async def _page(
    request: web.Request,
    values: dict[str, str],
    *,
    kept: str = "",
    wrong: str | None = None,
    verified: Verification | None = None,
) -> web.Response:
    events = await _before(request, params.integer(values, "before", 0, minimum=0))
    known = {
        "events": [told(each) for each in events],
        "older": addresses.page(PATH, before=str(events[-1].seq)) if events and events[-1].seq > 1 else None,
        "first": PATH if "before" in values else None,
        "kept": kept,
        "wrong": wrong,
        "verified": verified,
        "faults": [] if verified is None else [*verified.faults, *verified.void],
    }
    return render(request, "spine.html", known, status=200 if wrong is None else 400)


async def _before(request: web.Request, before: int) -> list[SpineEvent]:
    """Events before this one (0: from the newest on), newest first."""
    store, owner = request.app[STORE], request[CALLER].owner
    await store.audit.drain(owner)
    if not before:
        head = await store.central.spine_head(owner.id)
        before = 1 if head is None else head.seq + 1
    found = await store.central.spine(owner.id, max(before - 1 - LIMIT, 0), LIMIT)
    return [each for each in reversed(found) if each.seq < before]
