"""The bytes of a blob as an answer: found for the caller, with all that RFC 9110 says of ranges and conditions, written
down where a client sees them, and sent by whoever can."""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from blobstore.store import OpenBlob
from records.consent.scope import Selector
from server.delegated import delegated
from server.keys import CALLER, CONFIG, STORE
from server.patience import patiently
from server.redirected import redirect
from server.representation import Answer, Representation, answer
from server.transfer import Delivery, Sending

Headers = Callable[[Representation], Mapping[str, str]]
"""What an answer with these bytes carries beside what every such answer does."""


async def serve(
    request: web.Request,
    blob_id: str,
    selector: Selector,
    *,
    elsewhere: bool = True,
    headers: Headers | None = None,
) -> web.StreamResponse:
    """Send the blob as the caller sees it; `headers` go onto the answer, in the place of others of their names.

    The client may be sent `elsewhere`, to the store of the bytes, where the operator wants that. Raises `BlobNotFound`,
    `PreconditionFailed`, `RangeNotSatisfiable`, `StorageUnavailable`.
    """
    caller, store = request[CALLER], request.app[STORE]
    async with store.attachments.open(caller.scope, blob_id, selector) as found:
        what = Representation(
            tag=str(found.digest),
            sha256=found.sha256,
            size=found.blob.size,
            media_type=found.media_type,
            filename=found.filename,
        )
        reply = answer(request.method, request.headers, what)
        for name, value in ({} if headers is None else headers(what)).items():
            reply.headers[name] = value
        delivery = await _delivery(request, reply, what, found.blob, elsewhere)
        spans = [(span.start, span.stop) for span in delivery.asked]
        disclosure = await store.disclosures.blob(caller.scope, found.digest, found.place, spans)
        try:
            return await delivery.send(request)
        finally:
            sent = [(span.start, span.stop) for span in delivery.sent]
            ending = patiently(lambda: disclosure.end(delivery.end, sent), request.app[CONFIG].patience)
            await asyncio.shield(asyncio.ensure_future(ending))


async def _delivery(
    request: web.Request, reply: Answer, what: Representation, blob: OpenBlob, elsewhere: bool
) -> Sending:
    """Who sends it: the store of the bytes or the proxy, where the operator wants that and they can, else we."""
    config = request.app[CONFIG]
    if elsewhere and config.redirect_seconds is not None:
        redirected = await redirect(request.headers, reply, what, blob, config.redirect_seconds)
        if redirected is not None:
            return redirected
    accelerated = delegated(request.headers, reply, blob.path()) if config.sendfile else None
    return accelerated or Delivery(blob, reply, request[CALLER].is_still_allowed)
