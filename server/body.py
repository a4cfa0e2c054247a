"""Bodies on their way in: asked for only when they are wanted, and never waited for longer than a patient server does.

A handler that does not come here has read nothing: `100 Continue` is sent by the first read, so that a client which
waits for it sends no byte of a body before the token and the parameters were found good.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import hdrs
from aiohttp.http import HttpVersion11
from aiohttp.web import Request

from server.errors import TooLarge, TooSlow, UnsupportedMedia
from server.keys import CONFIG

WINDOW_BYTES = 16 << 10
"""Bytes that a client must move while it is waited for as long as `Config.patience`: half a KiB a second."""


def require_identity(request: Request) -> None:
    """Raise `UnsupportedMedia` for a body under a Content-Encoding: digests and limits are of the bytes sent."""
    coding = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, [])).strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMedia("bodies are taken without a Content-Encoding", headers={"Accept-Encoding": "identity"})


def require_type(request: Request, media_type: str) -> None:
    """Raise `UnsupportedMedia` unless the Content-Type is this one; its parameters do not matter."""
    said = request.headers.getall(hdrs.CONTENT_TYPE, [])
    if [each.partition(";")[0].strip().lower() for each in said] != [media_type]:
        raise UnsupportedMedia(f"the Content-Type must be {media_type}", headers={"Accept": media_type})


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes, in the sizes in which it comes.

    Only the time spent waiting for the sender counts against it, not what the reader does between two pieces. Raises
    `TooSlow`, `RequestPayloadError` for broken framing, `ConnectionError` when the sender went away.
    """
    await proceed(request)
    window = request.app[CONFIG].patience
    loop = asyncio.get_running_loop()
    waited, brought = 0.0, 0
    while not request.content.at_eof():
        begun = loop.time()
        piece = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(window - waited, 0.001)):
                piece = await request.content.readany()
        waited += loop.time() - begun
        brought += len(piece)
        # A piece may come in time and be seen late, when the process is busy: it brings what it brings, not a window.
        if waited >= window and not request.content.at_eof():
            if brought < WINDOW_BYTES:
                raise TooSlow(f"less than {WINDOW_BYTES} bytes of the body came in {window:g} seconds")
            waited, brought = 0.0, 0
        if piece:
            yield piece


async def whole(request: Request, limit: int) -> bytes:
    """The body in one piece. Raises `TooLarge` beyond `limit` bytes, and as `pieces` does."""
    require_identity(request)
    if (request.content_length or 0) > limit:
        raise TooLarge(f"the body may have {limit} bytes")
    gathered = bytearray()
    async for piece in pieces(request):
        gathered += piece
        if len(gathered) > limit:
            raise TooLarge(f"the body may have {limit} bytes")
    return bytes(gathered)


def awaits_continue(request: Request) -> bool:
    """Whether the client holds its body back until it is told `100 Continue`."""
    return request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"


async def proceed(request: Request) -> None:
    """Before the first byte is read: tell a client that waits for it to go on."""
    if awaits_continue(request) and not request.content.total_bytes:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself is on its way
