"""An owner's data on their way out."""

from aiohttp import web

from records.bag.export import Export
from records.bag.tar import MEDIA_TYPE
from server import params
from server.keys import CALLER, STORE
from server.prepared import PREPARED
from server.representation import Representation, answer
from server.transfer import Delivery


async def export(request: web.Request) -> web.StreamResponse:
    """`GET`, `HEAD /v1/owner/export?connector_id=`: a bag as a tar archive, with ranges and conditions of RFC 9110.

    The entity tag is the bag's name, which is its digest: a download that broke off goes on where it was while the data
    are the same, also after a restart of the server.
    """
    values = params.query(request, optional=params.CONNECTOR)
    await request.app[PREPARED].make_room(request.app[STORE].exports)
    async with request.app[STORE].exports.open(request[CALLER].owner, values.get("connector_id")) as bag:
        return await send(request, bag)


async def send(request: web.Request, bag: Export) -> web.StreamResponse:
    """What the request asks for of the bag; on the spine before its first byte."""
    caller = request[CALLER]
    what = Representation(bag.name, None, bag.size, MEDIA_TYPE, "export.tar")
    reply = answer(request.method, request.headers, what)
    if reply.body:
        await request.app[STORE].exports.note(caller.owner, bag)
    return await Delivery(bag, reply, caller.is_still_allowed).send(request)
