"""Downloads that clients fetch from the store of the bytes by themselves: 302 to an address that is good for a while.

This server decides who may have what, and answers 304, 412, 416 and `HEAD`; it writes the whole blob down as disclosed
before it gives the address away, for the address opens all of it. What it sends itself all the same:

* less than `LARGE` bytes: the second request would cost more than they do, and the audit log stays exact;
* what the store would judge by an entity tag or a date of its own (`If-Match`, `If-Range`, …);
* several ranges, or one in another spelling than all servers read alike.

The store sends no `nosniff` and no CSP. So what a browser must not show comes as a nameless type, to be saved; the rest
of the types are those that run nothing.
"""

from aiohttp import web
from multidict import CIMultiDictProxy

from blobstore.store import OpenBlob
from server.disposition import content_disposition, is_shown
from server.ranges import ByteRange, is_plain
from server.representation import Answer, Representation
from server.transfer import End

LARGE = 1 << 20
"""Bytes of an answer from which on clients are sent elsewhere."""

_JUDGED_THERE = ("If-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range")
_UNKNOWN = "application/octet-stream"


class Redirected:
    """An answer that says where the bytes are; like `server.transfer.Delivery` to who began it."""

    def __init__(self, url: str, size: int) -> None:
        self._response = web.Response(
            status=web.HTTPFound.status_code, headers={"Location": url, "Referrer-Policy": "no-referrer"}
        )
        self.asked: tuple[ByteRange, ...] = (ByteRange(0, size),)
        self.sent = self.asked
        self.end = End.DELEGATED

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Give the address away."""
        return self._response


async def redirect(
    asked: CIMultiDictProxy[str], answer: Answer, what: Representation, blob: OpenBlob, seconds: int
) -> Redirected | None:
    """The address to fetch it from; None for what is sent here."""
    if sum(map(len, answer.ranges)) < LARGE or any(name in asked for name in _JUDGED_THERE):
        return None
    ranges = asked.getall("Range", [])
    if ranges and not (len(ranges) == 1 and is_plain(ranges[0])):
        return None
    media_type = what.media_type if is_shown(what.media_type) else _UNKNOWN
    url = await blob.link(seconds, media_type, content_disposition(media_type, what.filename))
    return None if url is None else Redirected(url, what.size)
