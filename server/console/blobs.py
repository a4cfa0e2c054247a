"""One attachment: shown in place, its bytes, and the records that link it."""

from hashlib import sha256

from aiohttp import web

from blobstore.errors import BlobNotFound
from records.consent.scope import Selector
from records.errors import Invalid
from records.thumbnails.formats import MEDIA_TYPE
from server import params
from server.console import addresses, asked, media, static
from server.console.rendering import render
from server.disposition import content_disposition
from server.keys import CALLER, STORE
from server.representation import Representation
from server.serving import serve

LINKS = 50
"""Records that are named on the page of a blob."""

TEXT = 64 << 10
"""Bytes of a text that are shown."""

_EVERYTHING = Selector()
_NAMELESS = "application/octet-stream"

POLICY = "default-src 'none'; sandbox; frame-ancestors 'self'"
PDF_POLICY = "default-src 'none'; script-src 'none'; object-src 'self'; frame-ancestors 'self'"

OURS = {"Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "no-referrer"}
"""What every answer with stored bytes carries: other sites load none of them."""


async def page(request: web.Request) -> web.Response:
    """`GET /console/blobs/{blob_id}`."""
    asked.values(request, ())
    store, caller = request.app[STORE], request[CALLER]
    async with store.attachments.open(caller.scope, _blob_id(request), _EVERYTHING) as found:
        blob_id, way = str(found.digest), media.way(found.media_type)
        text = await found.blob.read(0, min(found.blob.size, TEXT)) if way == "text" else b""
        known: dict[str, object] = {
            "name": found.filename or found.media_type,
            "blob_id": blob_id,
            "media_type": found.media_type,
            "size": found.blob.size,
            "sha256": found.sha256.hex(),
            "way": way,
            "text": text.decode(errors="replace"),
            "text_is_cut": found.blob.size > len(text),
        }
    engine = await store.engines.of(caller.owner.id)
    links = await engine.links_of(found.digest, None, LINKS + 1)
    known |= {
        "content": addresses.blob(blob_id, "/content"),
        "save": addresses.page(addresses.blob(blob_id, "/content"), save="yes"),
        "explain": addresses.explain(blob_id),
        "links": [
            {
                "address": addresses.record(each.partition, each.key),
                "key": each.key,
                "stream": each.partition.stream,
                "connector": each.partition.connector,
            }
            for each in links[:LINKS]
        ],
        "more": len(links) > LINKS,
    }
    return render(request, "blob.html", known)


async def content(request: web.Request) -> web.StreamResponse:
    """`GET /console/blobs/{blob_id}/content?save=`: the bytes, or ranges of them, without the rights of this origin.

    With `save=yes` as a file to be saved: another address than that which a film is played from, for a browser reads
    from one address one after the other.
    """
    saved = asked.values(request, ("save",)).get("save") == "yes"
    return await serve(
        request, _blob_id(request), _EVERYTHING, elsewhere=False, headers=_to_be_saved if saved else _in_place
    )


async def thumbnail(request: web.Request) -> web.Response:
    """`GET /console/blobs/{blob_id}/thumbnail`: a small picture, or a stand-in where none can be made."""
    asked.values(request, ())
    store, scope, blob_id = request.app[STORE], request[CALLER].scope, _blob_id(request)
    headers = {**OURS, "Content-Security-Policy": POLICY}
    picture = await store.thumbnails.of(scope, blob_id)
    if picture is None:
        return web.Response(body=static.content("none.svg"), content_type="image/svg+xml", headers=headers)
    # Kept by the browser, and asked for each time: what is erased is seen no more.
    headers |= {"Cache-Control": "private, no-cache", "ETag": f'"{sha256(picture).hexdigest()}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=picture, content_type=MEDIA_TYPE, headers=headers)


def _in_place(what: Representation) -> dict[str, str]:
    # A sandbox keeps the viewer of a browser out, too; what a PDF may run never runs as a page of ours.
    return {**OURS, "Content-Security-Policy": PDF_POLICY if what.media_type == "application/pdf" else POLICY}


def _to_be_saved(what: Representation) -> dict[str, str]:
    return {**OURS, "Content-Disposition": content_disposition(_NAMELESS, what.filename)}


def _blob_id(request: web.Request) -> str:
    try:
        return params.path_part(request, "blob_id")
    except Invalid:
        raise BlobNotFound("no id of any blob") from None
