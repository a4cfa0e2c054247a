"""Blobs: bytes in for a record to come, bytes out because a record names them."""

from collections.abc import Sequence

from aiohttp import hdrs, web

from blobstore.catalogue import Stored
from blobstore.errors import BlobNotFound, ContentMismatch
from blobstore.store import Expected, Upload
from records.errors import Invalid
from records.writing.links import DEFAULT_MEDIA_TYPE, media_type
from server import params, wire
from server.body import pieces, require_identity
from server.digests import MalformedDigest, parse_digest
from server.intake import intake, is_large
from server.keys import CALLER, STORE, UPLOADS
from server.serving import serve

_DIGESTS = ("Content-Digest", "Repr-Digest")


async def upload(request: web.Request) -> web.Response:
    """`POST /v1/blobs`: 200 when the bytes are durable and claimed; before that nothing of them is kept."""
    values = params.query(
        request,
        required=(*params.CONNECTOR, "stream", "record_key"),
        optional=(*params.INSTANCE, *params.RUN, "mime_type", "json_path"),
    )
    require_identity(request)
    expected = Expected(size=request.content_length, sha256=declared_sha256(request))
    media = media_type(values.get("mime_type") or _content_type(request))
    async with request.app[UPLOADS].taken():
        receiving = await request.app[STORE].attachments.receive(
            request[CALLER].owner, params.target(values, media), expected.size
        )
        async with receiving as blob:
            await _receive(request, blob)
            stored = await blob.finish(expected)
    return stored_reply(stored, media)


def stored_reply(stored: Stored, media: str) -> web.Response:
    """What is stored, as its uploader is told."""
    return wire.reply(
        {
            "object": "blob",
            "blob_id": str(stored.name.digest),
            "sha256": stored.sha256.hex(),
            "size_bytes": stored.size,
            "mime_type": media,
        }
    )


async def _receive(request: web.Request, blob: Upload) -> None:
    if not is_large(request):
        async for piece in pieces(request):
            await blob.write(piece)
        return
    async with intake(request) as (begun, rest):
        await blob.write(begun)
        while rest.left:
            await blob.came(await rest.fill(blob.room()))


async def download(request: web.Request) -> web.StreamResponse:
    """`GET`, `HEAD /v1/blobs/{blob_id}`: the bytes, with all that RFC 9110 says of ranges and conditions."""
    values = params.query(request, optional=params.SELECTOR)
    return await serve(request, _blob_id(request), params.selector(values))


def _blob_id(request: web.Request) -> str:
    try:
        return params.path_part(request, "blob_id")
    except Invalid:
        raise BlobNotFound("no id of any blob") from None


def _content_type(request: web.Request) -> str:
    said = request.headers.getall(hdrs.CONTENT_TYPE, [DEFAULT_MEDIA_TYPE])
    if len(said) > 1:
        raise Invalid("Content-Type is given more than once", param="mime_type")
    return said[0]


def declared_sha256(request: web.Request, names: Sequence[str] = _DIGESTS) -> bytes | None:
    """What the digest headers say. Without a coding, content and representation are the same bytes."""
    declared: set[bytes] = set()
    for name in names:
        try:
            digest = parse_digest(request.headers.getall(name, []))
        except MalformedDigest as error:
            raise Invalid(f"{name}: {error}", param=name) from None
        if digest is not None:
            declared.add(digest)
    if len(declared) > 1:
        raise ContentMismatch("Content-Digest and Repr-Digest declare different bytes")
    return declared.pop() if declared else None
