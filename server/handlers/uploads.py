"""Resumable uploads (tus 1.0): the bytes of a blob in several requests, to the same end as `POST /v1/blobs`."""

from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from functools import wraps

from aiohttp import hdrs, web

from blobstore.errors import BlobError, UploadNotFound
from blobstore.resumable import About, Progress, ResumedUpload
from blobstore.upload import Expected
from records.errors import Conflict, Forbidden, Invalid
from records.writing.attachments import Target
from records.writing.links import DEFAULT_MEDIA_TYPE
from server import params, tus
from server.body import pieces, require_identity, require_type
from server.digests import repr_digest
from server.errors import ChecksumMismatch, MethodNotAllowed, TooLarge
from server.handlers.blobs import declared_sha256
from server.intake import intake, is_large
from server.keys import CALLER, CONFIG, STORE, UPLOADS, Handler

PATH = "/v1/uploads"
_REQUIRED = (*params.CONNECTOR, "stream", "record_key")
_OPTIONAL = (*params.INSTANCE, *params.RUN, "mime_type", "json_path")


def _resumable(handler: Handler) -> Handler:
    """The handler for who speaks this version of tus."""

    @wraps(handler)
    async def speaking(request: web.Request) -> web.StreamResponse:
        tus.require_version(request.headers)
        return await handler(request)

    return speaking


async def capabilities(request: web.Request) -> web.Response:
    """`OPTIONS`: what is spoken here, by what there is."""
    headers = {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": ",".join(name for name, is_there in _EXTENSIONS.items() if is_there),
        "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        hdrs.ALLOW: ", ".join(("OPTIONS", *(ALL if request.path == PATH else ONE))),
    }
    return web.Response(status=web.HTTPNoContent.status_code, headers=headers)


@_resumable
async def create(request: web.Request) -> web.Response:
    """`POST /v1/uploads`: 201 and where the bytes go to; of those that come along as much as is durable."""
    parts = tus.parts(request.headers)
    said = tus.one(request.headers, "Upload-Metadata") or ""
    target = _target(request, tus.metadata(said))
    owner, uploads = request[CALLER].owner, request.app[STORE].uploads
    sha256 = declared_sha256(request, ("Repr-Digest",))
    if parts:
        async with request.app[UPLOADS].taken():
            joined = await uploads.join(owner, target, parts, Expected(sha256=sha256))
        return web.Response(status=201, headers={hdrs.LOCATION: _location(request, joined.id), **_standing(joined)})
    if "Upload-Defer-Length" in request.headers:
        raise Invalid("the length must be known from the start: send Upload-Length", param="Upload-Length")
    if parts is not None and sha256 is not None:
        raise Invalid("Repr-Digest is of what the parts become: send it with them all", param="Repr-Digest")
    about = About(
        length=tus.number(request.headers, "Upload-Length"),
        media_type=target.media,
        metadata=said,
        sha256=_hex(sha256),
        partial=parts is not None,
    )
    with_bytes = request.can_read_body and request.content_length != 0
    if with_bytes:
        require_type(request, tus.OFFSET_OCTETS)
        _require_fit(request, about.length)
    progress = await uploads.begin(owner, target, about, request.app[CONFIG].upload_expiry)
    if with_bytes or progress.is_whole:
        try:
            progress = await _go_on(request, progress.id, 0)
        except BaseException:
            with suppress(BlobError):  # nobody was told where it is: it would take room until its time is over
                await uploads.end(owner, progress.id)
            raise
    return web.Response(status=201, headers={hdrs.LOCATION: _location(request, progress.id), **_standing(progress)})


@_resumable
async def standing(request: web.Request) -> web.Response:
    """`HEAD /v1/uploads/{upload_id}`: how far it has come. One that has all its bytes is stored before this answers."""
    params.query(request, optional=params.RUN)
    owner, uploads = request[CALLER].owner, request.app[STORE].uploads
    progress = await uploads.find(owner, _id(request), settled=True)
    if progress.is_whole:  # and was not stored: its server ended, or the storage did not answer
        try:
            progress = await _finish(request, progress.id)
        except UploadNotFound:  # whoever was at it has stored it by now
            progress = await uploads.find(owner, progress.id)
    headers = _standing(progress) | {"Upload-Length": str(progress.length)}
    if progress.about is not None and progress.about.metadata:
        headers["Upload-Metadata"] = progress.about.metadata
    return web.Response(headers=headers)


@_resumable
async def append(request: web.Request) -> web.Response:
    """`PATCH /v1/uploads/{upload_id}`: the next bytes; 204 when they are durable, and stored if they were the last."""
    params.query(request, optional=params.RUN)
    require_type(request, tus.OFFSET_OCTETS)
    offset = tus.number(request.headers, "Upload-Offset")
    try:
        progress = await _go_on(request, _id(request), offset)
    except UploadNotFound:
        progress = await request.app[STORE].uploads.find(request[CALLER].owner, _id(request))
        if progress.done is None:
            raise
        if progress.done.parts:
            raise Forbidden("it was put together of others, and takes no bytes", "insufficient_scope") from None
        _require_offset(offset, progress.length)
        _require_fit(request, 0)
    return web.Response(status=204, headers=_standing(progress))


@_resumable
async def terminate(request: web.Request) -> web.Response:
    """`DELETE /v1/uploads/{upload_id}`: nothing of it is kept. A blob that it has become stays."""
    params.query(request, optional=params.RUN)
    await request.app[STORE].uploads.end(request[CALLER].owner, _id(request))
    return web.Response(status=204)


async def overridden(request: web.Request) -> web.StreamResponse:
    """`POST /v1/uploads/{upload_id}`: the method that `X-HTTP-Method-Override` names, for who can send no other."""
    handler = ONE.get((tus.one(request.headers, "X-HTTP-Method-Override") or "").upper())
    if handler is None or handler is overridden:
        allowed = ", ".join(("OPTIONS", *ONE))
        raise MethodNotAllowed(
            "POST is for who names another method by X-HTTP-Method-Override", headers={"Allow": allowed}
        )
    return await handler(request)


ALL: Mapping[str, Handler] = {"POST": create}
"""Methods of `/v1/uploads`, for owners."""

ONE: Mapping[str, Handler] = {"HEAD": standing, "PATCH": append, "DELETE": terminate, "POST": overridden}
"""Methods of `/v1/uploads/{upload_id}`, for owners."""

_EXTENSIONS: Mapping[str, bool] = {
    "creation": "POST" in ALL,
    "creation-with-upload": "POST" in ALL and "PATCH" in ONE,
    "expiration": True,
    "checksum": bool(tus.ALGORITHMS),
    "termination": "DELETE" in ONE,
    "concatenation": "POST" in ALL,
}


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Every answer here says what version it is of; runs before its headers go out."""
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical.startswith(PATH):
        response.headers["Tus-Resumable"] = tus.VERSION


async def _go_on(request: web.Request, id: str, offset: int) -> Progress:
    """Take the body into the upload, which must have come so far."""
    require_identity(request)
    checksum = tus.checksum(request.headers)
    uploads, also = request.app[STORE].uploads, None if checksum is None else checksum.sum
    async with request.app[UPLOADS].taken(), await uploads.resume(request[CALLER].owner, id, also) as upload:
        _require_offset(offset, upload.offset)
        _require_fit(request, upload.about.length - offset)
        if checksum is not None:
            await upload.distrust()
        await _receive(request, upload)
        reached = await upload.pause()
        if checksum is not None:
            if checksum.sum.digest() != checksum.digest:
                raise ChecksumMismatch("the part has another checksum; none of it was kept: send it again")
            await upload.trust()
        return await _ended(request, upload, reached)


async def _finish(request: web.Request, id: str) -> Progress:
    async with await request.app[STORE].uploads.resume(request[CALLER].owner, id) as upload:
        return await _ended(request, upload, upload.offset)


async def _ended(request: web.Request, upload: ResumedUpload, reached: int) -> Progress:
    """What a request has brought it to: stored, where that was the last of it."""
    if reached == upload.about.length and not upload.about.partial:
        await upload.finish()
        return await request.app[STORE].uploads.find(request[CALLER].owner, upload.id)
    await upload.renew(request.app[CONFIG].upload_expiry)
    return Progress(upload.id, upload.about.length, reached, upload.about, upload.expires_at)


async def _receive(request: web.Request, upload: ResumedUpload) -> None:
    """All of the body. What had come when it breaks off is the upload's all the same."""
    left = upload.about.length - upload.offset
    if not is_large(request):
        async for piece in pieces(request):
            await upload.write(piece[:left])
            left -= len(piece)
            if left < 0:
                await upload.take_back()
                raise TooLarge("the body goes beyond Upload-Length")
        return
    async with intake(request) as (begun, rest):
        await upload.write(begun)
        while rest.left:
            before = rest.left
            try:
                await rest.fill(upload.room())
            finally:
                await upload.came(before - rest.left)


def _standing(progress: Progress) -> dict[str, str]:
    """The headers that tell how it stands."""
    headers = {"Upload-Offset": str(progress.offset)}
    if progress.expires_at is not None:
        headers["Upload-Expires"] = formatdate(progress.expires_at, usegmt=True)
    if (progress.about is not None and progress.about.partial) or (progress.done is not None and progress.done.whole):
        headers["Upload-Concat"] = "partial"
    elif progress.done is not None:
        headers["Blob-Id"] = str(progress.done.digest)
        headers["Repr-Digest"] = repr_digest(bytes.fromhex(progress.done.sha256))
        if progress.done.parts:
            headers["Upload-Concat"] = "final;" + " ".join(f"{PATH}/{id}" for id in progress.done.parts)
    return headers


def _target(request: web.Request, said: Mapping[str, bytes]) -> Target:
    """The place that the bytes are for: from the query or, where a client can set no query, from its metadata."""
    values = params.query(request, optional=(*_REQUIRED, *_OPTIONAL))
    for name in (*_REQUIRED, *_OPTIONAL):
        if name in said:
            text = _text(said, name)
            if values.setdefault(name, text) != text:
                raise Invalid(f"{name} is another in Upload-Metadata than in the query", param=name)
    values = params.named(list(values.items()), required=_REQUIRED, optional=_OPTIONAL)
    media = values.get("mime_type") or ("filetype" in said and _text(said, "filetype")) or DEFAULT_MEDIA_TYPE
    return params.target(values, media)


def _text(said: Mapping[str, bytes], name: str) -> str:
    try:
        return said[name].decode()
    except UnicodeDecodeError:
        raise Invalid(f"{name} in Upload-Metadata is not UTF-8", param=name) from None


def _location(request: web.Request, id: str) -> str:
    """Where the upload is: as a path, which holds behind any proxy; with `public_url` as clients know it."""
    public = request.app[CONFIG].public_url
    return f"{'' if public is None else public.rstrip('/')}{PATH}/{id}"


def _id(request: web.Request) -> str:
    return params.path_part(request, "upload_id")


def _hex(sha256: bytes | None) -> str | None:
    return None if sha256 is None else sha256.hex()


def _require_offset(said: int, there: int) -> None:
    if said != there:
        raise Conflict(f"the upload has come to {there}, not {said}: go on from there (HEAD tells it)")


def _require_fit(request: web.Request, left: int) -> None:
    if (request.content_length or 0) > max(left, 0):
        raise TooLarge("the body goes beyond Upload-Length")
