"""Downloads of blobs that are files, sent by nginx in this server's place (`X-Accel-Redirect`).

The proxy says in a header of its own that it can; whoever comes without it gets the bytes from here. nginx is told a
path made of internal ids and a parsed digest, and answers with the headers that stand beside it. Who decides what:

| | decided by |
|---|---|
| the caller's rights, `If-None-Match`, 304, 412, 416, `HEAD` | this server, before it hands anything over |
| the whole (200) | this server: handed over to a location of nginx that knows no ranges |
| one range in its plainest spelling, with an `If-Range` that holds or none (206) | both, and they agree |
| several ranges, or another spelling | this server, which sends them itself: nginx reads these otherwise |
| `If-Match`, `If-Unmodified-Since` | the same: nginx would judge them by the file |

How many bytes went nobody tells us, and a grant that is revoked meanwhile stops nothing.
"""

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from server.ranges import is_plain
from server.representation import Answer
from server.transfer import End

OFFER, OFFERED = "X-Sendfile-Type", "X-Accel-Redirect"
"""What the proxy adds to a request when it can send files; it must replace what clients say there."""

WHOLE, RANGES = "/stored/whole/", "/stored/ranges/"
"""The internal locations of deploy/nginx/sendfile.conf, both over the folder of all blobs."""

_JUDGED_THERE = ("If-Match", "If-Unmodified-Since")
_FRAMING = ("Content-Length", "Content-Range", "Accept-Ranges")


class Delegated:
    """An answer whose bytes nginx sends; like `server.transfer.Delivery` to who began it."""

    def __init__(self, answer: Answer, location: str) -> None:
        headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name not in _FRAMING)
        headers["X-Accel-Redirect"] = location
        self._response = web.Response(headers=headers)
        self.asked = self.sent = answer.ranges
        self.end = End.DELEGATED

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Hand over. What fails from here on may have reached the client all the same."""
        return self._response


def delegated(asked: CIMultiDictProxy[str], answer: Answer, path: str | None) -> Delegated | None:
    """The answer as nginx gives it, from this path below the folder of all blobs; None for one that is sent here."""
    if path is None or not answer.body or asked.getall(OFFER, []) != [OFFERED]:
        return None
    if any(name in asked for name in _JUDGED_THERE):
        return None
    if answer.status == web.HTTPOk.status_code:
        return Delegated(answer, WHOLE + path)
    return Delegated(answer, RANGES + path) if _is_plain(asked) else None


def _is_plain(asked: CIMultiDictProxy[str]) -> bool:
    ranges = asked.getall("Range")
    return len(ranges) == 1 and is_plain(ranges[0]) and len(asked.getall("If-Range", [])) <= 1
