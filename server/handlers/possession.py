"""Not sending what is there: which blobs a connector has, and a claim for who shows to have the bytes."""

from typing import Annotated

import msgspec
from aiohttp import web

from blobstore.digest import Digest
from blobstore.errors import InvalidBlobId
from records.errors import Invalid
from records.writing.links import DEFAULT_MEDIA_TYPE
from records.writing.possession import Presence
from server import params, wire
from server.handlers.blobs import stored_reply
from server.keys import CALLER, STORE, UPLOADS

MAX_BLOBS = 1000
"""Digests of one question."""

MAX_BYTES = 1 << 20

LARGEST = 10**15
"""Bytes of a blob that is asked for."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """One blob; with its size, where a challenge is wanted."""

    blob_id: str
    size_bytes: int | float | None = None


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/blobs/have`."""

    blobs: Annotated[list[Asked], msgspec.Meta(max_length=MAX_BLOBS)]


class Proof(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/blobs/claim`."""

    token: str
    proof: str


async def have(request: web.Request) -> web.Response:
    """`POST /v1/blobs/have`: for each, in order, whether a record of the connector may name it now."""
    values = params.query(request, required=params.CONNECTOR, optional=params.RUN)
    question = await wire.read(request, Question, MAX_BYTES)
    asked = [(_digest(each.blob_id), _size(each.size_bytes)) for each in question.blobs]
    found = await request.app[STORE].possession.have(request[CALLER].owner, params.selector(values), asked)
    return wire.listing([_presence(each) for each in found])


async def claim(request: web.Request) -> web.Response:
    """`POST /v1/blobs/claim`: 200 as an upload of the bytes; 404 whenever the proof does not hold."""
    values = params.query(
        request,
        required=(*params.CONNECTOR, "stream", "record_key"),
        optional=(*params.INSTANCE, *params.RUN, "mime_type", "json_path"),
    )
    body = await wire.read(request, Proof, MAX_BYTES)
    async with request.app[UPLOADS].taken():
        stored, media = await request.app[STORE].possession.claim(
            request[CALLER].owner,
            params.target(values, values.get("mime_type", DEFAULT_MEDIA_TYPE)),
            token=body.token,
            proof=body.proof,
        )
    return stored_reply(stored, media)


def _digest(blob_id: str) -> Digest:
    try:
        return Digest.parse(blob_id)
    except InvalidBlobId:
        raise Invalid("a blob_id is blob_b3_ and 64 lower-case hexadecimal digits", param="blobs") from None


def _size(said: float | None) -> int | None:
    """A whole number, however it is spelled in JSON."""
    if said is None:
        return None
    if said != said // 1 or not 0 <= said <= LARGEST:
        raise Invalid(f"size_bytes is a whole number from 0 to {LARGEST}", param="blobs")
    return int(said)


def _presence(of: Presence) -> dict[str, object]:
    challenge = of.challenge and {
        "token": of.challenge.token,
        "key": of.challenge.key.hex(),
        "ranges": of.challenge.ranges,
    }
    return {"object": "blob_presence", "blob_id": str(of.digest), "have": of.have, "challenge": challenge}
