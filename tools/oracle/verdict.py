"""Whether two answers to one request say the same.

Status, headers (their spelling and order too) and bodies must be equal byte for byte, but for what a server makes by
itself (`places`), which must correspond (`matching`). What is left aside, and why:

* `Date`: the moment of the answer, to a second.
* `Connection` of a request with a body that was refused: whether the body had come when it was refused, and the
  connection need not be closed, is a matter of packets.
* `Content-Length` where it is the length of the body, which is compared.
* the progress of an erasure that was answered with 202: it goes on while it is told of.
* the order in which events of different sources come to the spine, and with it their numbers: they are fetched from
  outboxes in the background. Their content, the order within each source and their number are compared.
"""

from tools.oracle import archives, jsontext, multipart
from tools.oracle.matching import Matching, Unlike
from tools.oracle.places import made_at
from tools.oracle.request import Answer, Request

_HEADER_PLACES = {
    "request-id": ("request", "", ""),
    "etag": ("bag", '"', '"'),
    "location": ("erasure", "/v1/owner/erasures/", ""),
}
"""Headers in which a server's own value may stand: its kind, and what is around it."""


def require_alike(request: Request, ours: Answer, theirs: Answer, matching: Matching) -> None:
    """Raise `Unlike` where the answers differ; what is new in them is known to `matching` from then on."""
    if (ours.status, ours.reason) != (theirs.status, theirs.reason):
        raise Unlike(f"status: {ours.status} {ours.reason} and {theirs.status} {theirs.reason}")
    _headers(request, ours, theirs, matching)
    if request.how != "running":
        body(ours, theirs, matching)


def body(ours: Answer, theirs: Answer, matching: Matching) -> None:
    """The same for the bodies alone."""
    media = (ours.header("Content-Type") or "").partition(";")[0]
    if media == "multipart/byteranges":
        multipart.require_alike(ours, theirs)
    elif media == "application/x-tar" and ours.status == 200:
        archives.require_alike(ours.body, theirs.body, matching)
    elif media == "application/json":
        texts(ours.body, theirs.body, matching)
    elif ours.body != theirs.body:
        raise Unlike("the bodies differ")


def texts(ours: bytes, theirs: bytes, matching: Matching, below: str = "") -> None:
    """The same for two JSON texts; `below` stands before the paths in them."""
    translated = matching.translated(ours)
    if translated == theirs:
        return
    for path, mine, other in jsontext.differences(translated, theirs):
        value(below + path, mine, other, matching)


def value(path: str, mine: bytes, other: bytes, matching: Matching) -> None:
    """Two values that differ must be of a kind that servers make at this place, and as long as each other."""
    for made in made_at(path):
        if made.fits(mine) and made.fits(other):
            if not made.corresponds:
                return None
            if made.kind == "moment":
                kind = path.rpartition(".")[2]
                return matching.pair_moments(kind, mine.decode(), other.decode(), path)
            if len(mine) != len(other):  # the length of a cursor would tell of what is in it
                raise Unlike(f"{path}: one has {len(mine)} characters, the other {len(other)}")
            return matching.pair(mine, other, path)
    raise Unlike(f"{path}: {mine[:400]!r} and {other[:400]!r}")


def _headers(request: Request, ours: Answer, theirs: Answer, matching: Matching) -> None:
    mine, others = (_told(request, each) for each in (ours, theirs))
    if [name for name, _ in mine] != [name for name, _ in others]:
        raise Unlike(f"headers: {[name for name, _ in mine]} and {[name for name, _ in others]}")
    for (name, said), (_, other) in zip(mine, others, strict=True):
        measured = name == "Content-Length" and (said, other) == (str(len(ours.body)), str(len(theirs.body)))
        if not measured and matching.translated_text(said) != other:
            _header(name, said, other, matching)


def _header(name: str, said: str, other: str, matching: Matching) -> None:
    kind, before, after = _HEADER_PLACES.get(name.lower(), ("", "", ""))
    if name == "Content-Type" and multipart.framed(said) and multipart.framed(other):
        return
    made = made_at("error.request_id" if kind == "request" else "erasure_id" if kind == "erasure" else "")
    if kind == "bag":
        made = made_at("data.*.body.bag")
    mine, others = (text.removeprefix(before).removesuffix(after).encode() for text in (said, other))
    if not made or not made[0].fits(mine) or not made[0].fits(others):
        raise Unlike(f"{name}: {said!r} and {other!r}")
    matching.pair(mine, others, name)


def _told(request: Request, answer: Answer) -> list[tuple[str, str]]:
    aside = {"date"}
    if request.body is not None and answer.status >= 400:
        aside.add("connection")
    if request.how == "running":
        aside.add("content-length")
    return [(name, text) for name, text in answer.headers if name.lower() not in aside]
