"""What a GET or HEAD of stored bytes is answered with."""

import base64
import hashlib
from email import message_from_bytes

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from server.errors import PreconditionFailed, RangeNotSatisfiable
from server.ranges import ByteRange
from server.representation import Answer, Representation, answer

BYTES = bytes(range(100))
SHA256 = hashlib.sha256(BYTES).digest()
BLOB = Representation("blob_b3_ab", SHA256, len(BYTES), "image/png", "cat.png")
TAG = '"blob_b3_ab"'


def ask(method: str = "GET", what: Representation = BLOB, **headers: str) -> Answer:
    asked = CIMultiDict((name.replace("_", "-"), value) for name, value in headers.items())
    return answer(method, CIMultiDictProxy(asked), what)


def content(given: Answer) -> bytes:
    return b"".join(part if isinstance(part, bytes) else BYTES[part.start : part.stop] for part in given.body)


def test_the_whole_carries_every_header_of_the_contract() -> None:
    given = ask()

    assert given.status == 200
    assert given.headers == {
        "Content-Type": "image/png",
        "Content-Length": "100",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "ETag": TAG,
        "Repr-Digest": f"sha-256=:{base64.b64encode(SHA256).decode()}:",
        "Content-Disposition": 'inline; filename="cat.png"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    assert content(given) == BYTES


def test_a_head_has_the_headers_of_the_get_and_ignores_ranges() -> None:
    given = ask("HEAD", Range="bytes=0-1")

    assert (given.status, given.headers, given.body) == (200, ask().headers, ())


def test_one_range_is_a_206_of_the_same_representation() -> None:
    given = ask(Range="bytes=10-19")

    assert given.status == 206
    assert given.headers["Content-Range"] == "bytes 10-19/100"
    assert given.headers["Content-Length"] == "10"
    assert given.headers["Repr-Digest"] == ask().headers["Repr-Digest"]
    assert given.headers["Content-Type"] == "image/png"
    assert content(given) == BYTES[10:20]


@pytest.mark.parametrize("asked", ["bytes=0-0,50-59,-1", "bytes=90-,0-9", "bytes=0-0,2-2,4-4"])
def test_several_ranges_are_a_multipart_whose_length_is_known(asked: str) -> None:
    given = ask(Range=asked)

    assert given.status == 206
    assert "Content-Range" not in given.headers
    raw = content(given)
    assert int(given.headers["Content-Length"]) == len(raw)
    mail = message_from_bytes(b"Content-Type: " + given.headers["Content-Type"].encode() + b"\r\n\r\n" + raw)
    spans = [part for part in given.body if isinstance(part, ByteRange)]
    parts = mail.get_payload()
    assert isinstance(parts, list)
    assert len(parts) == len(spans) > 1
    for part, span in zip(parts, spans, strict=True):
        assert part["Content-Type"] == "image/png"
        assert part["Content-Range"] == span.content_range(100)


def test_a_boundary_is_never_used_twice() -> None:
    assert ask(Range="bytes=0-0,9-9").headers["Content-Type"] != ask(Range="bytes=0-0,9-9").headers["Content-Type"]


def test_ranges_that_join_are_no_multipart() -> None:
    given = ask(Range="bytes=0-9,10-19,5-12")

    assert given.headers["Content-Range"] == "bytes 0-19/100"
    assert content(given) == BYTES[:20]


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=500-600,100-"])
def test_no_byte_in_range_is_a_416_with_the_size(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        ask(Range=header)

    assert refused.value.headers["Content-Range"] == "bytes */100"
    assert refused.value.headers["ETag"] == TAG


@pytest.mark.parametrize("header", ["items=0-1", "bytes=x", "bytes=5-2", "bytes=" + ",".join(["0-0"] * 3 + ["y"])])
def test_a_range_that_cannot_be_read_is_as_none(header: str) -> None:
    assert ask(Range=header).status == 200


@pytest.mark.parametrize(("if_range", "status"), [(TAG, 206), ('"old"', 200), (f"W/{TAG}", 200), ("Sat, 1 Jan", 200)])
def test_if_range_decides_between_the_part_and_the_whole(if_range: str, status: int) -> None:
    assert ask(Range="bytes=0-1", If_Range=if_range).status == status


def test_an_old_if_range_saves_from_the_416_too() -> None:
    assert ask(Range="bytes=100-", If_Range='"old"').status == 200


def test_a_known_tag_is_a_304_with_its_validators_and_nothing_else() -> None:
    for method in ("GET", "HEAD"):
        given = ask(method, If_None_Match=f'"x", W/{TAG}')

        assert (given.status, given.body) == (304, ())
        assert given.headers == {"ETag": TAG, "Cache-Control": "private, no-store", "Accept-Ranges": "bytes"}


def test_conditions_come_before_ranges() -> None:
    assert ask(If_None_Match=TAG, Range="bytes=100-").status == 304
    with pytest.raises(PreconditionFailed):
        ask(If_Match='"other"', Range="bytes=100-")
    with pytest.raises(PreconditionFailed):
        ask(If_Match='"other"', If_None_Match=TAG)
    assert ask(If_Match=TAG, Range="bytes=0-1").status == 206


def test_dates_are_ignored_because_none_was_ever_sent() -> None:
    date = "Sat, 29 Oct 1994 19:43:31 GMT"
    assert ask(If_Modified_Since=date, If_Unmodified_Since=date).status == 200


def test_an_empty_blob_has_no_ranges() -> None:
    empty = Representation("blob_b3_00", hashlib.sha256(b"").digest(), 0, "text/plain", None)

    assert ask(what=empty).headers["Content-Length"] == "0"
    with pytest.raises(RangeNotSatisfiable) as refused:
        ask(what=empty, Range="bytes=0-")
    assert refused.value.headers["Content-Range"] == "bytes */0"


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "application/xhtml+xml"])
def test_markup_is_never_inline(media_type: str) -> None:
    hostile = Representation("blob_b3_ab", BLOB.sha256, 100, media_type, "x.html")

    for given in (ask(what=hostile), ask("HEAD", what=hostile), ask(what=hostile, Range="bytes=0-1")):
        assert given.headers["Content-Disposition"].startswith("attachment")
        assert "sandbox" in given.headers["Content-Security-Policy"]
