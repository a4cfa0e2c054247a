"""`GET` and `HEAD /v1/blobs/{blob_id}`: the bytes under RFC 9110, as hostile attachments."""

import base64
import hashlib
import random
import secrets
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any
from urllib.parse import unquote

import pytest

from tests.conformance.http.api import Answer, Api, Connector, note, refused


@dataclass
class Blob:
    """An uploaded blob that a record names."""

    api: Api
    id: str
    data: bytes

    async def ask(self, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.api.call(method, f"/v1/blobs/{self.id}", headers=named)


async def make(connector: Connector, data: bytes, media_type: str = "image/png", **fields: Any) -> Blob:
    query = {"connector_id": connector.id, "stream": "notes", "record_key": "r", "mime_type": media_type}
    stored = (await connector.api.call("POST", "/v1/blobs", query, body=data)).json
    ref = {"blob_id": stored["blob_id"], "mime_type": media_type}
    await connector.put("notes", note("r", blob_ref=ref, **fields))
    return Blob(connector.api, stored["blob_id"], data)


@pytest.fixture
async def blob(connector: Connector) -> Blob:
    return await make(connector, secrets.token_bytes(1000), filename="cat.png")


async def test_the_whole_comes_with_every_header(blob: Blob) -> None:
    answer = await blob.ask()
    assert (answer.status, answer.body) == (200, blob.data)
    for name, value in {
        "Content-Type": "image/png",
        "Content-Length": "1000",
        "Cache-Control": "private, no-store",
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(blob.data).digest()).decode()}:",
        "Content-Disposition": 'inline; filename="cat.png"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }.items():
        assert answer.headers.getall(name) == [value]
    assert answer.headers["ETag"].startswith('"')
    assert "Last-Modified" not in answer.headers
    assert "Set-Cookie" not in answer.headers


async def test_a_head_is_the_get_without_the_bytes(blob: Blob) -> None:
    got, headed = await blob.ask(), await blob.ask("HEAD", Range="bytes=0-1")
    assert (headed.status, headed.body) == (200, b"")
    volatile = {"Date", "Request-Id"}
    assert {name: headed.headers[name] for name in headed.headers.keys() - volatile} == {
        name: got.headers[name] for name in got.headers.keys() - volatile
    }


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-1", 0, 2),
        ("bytes=0-", 0, 1000),
        ("bytes=0-999", 0, 1000),
        ("bytes=0-1000", 0, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=500-599", 500, 600),
        ("bytes=-1", 999, 1000),
        ("bytes=-1000", 0, 1000),
        ("bytes=-99999999999999999999999", 0, 1000),
        ("bytes=900-99999999999999999999999", 900, 1000),
        ("bytes=0-9,10-19", 0, 20),
        ("bytes=10-19,0-9", 0, 20),
        ("bytes=0-99,50-149,149-150", 0, 151),
        ("bytes=7-7,7-7", 7, 8),
        ("bytes=5-6,2000-3000", 5, 7),
        ("bytes= ,5-6 ,", 5, 7),
        ("BYTES=5-6", 5, 7),
        ("bytes=" + ",".join(["0-"] * 900), 0, 1000),
    ],
)
async def test_one_range(blob: Blob, header: str, start: int, stop: int) -> None:
    answer = await blob.ask(Range=header)
    assert (answer.status, answer.body) == (206, blob.data[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["ETag"] == (await blob.ask("HEAD")).headers["ETag"]
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        ("bytes=0-0,-1", [(0, 1), (999, 1000)]),
        ("bytes=-1,0-0", [(999, 1000), (0, 1)]),
        ("bytes=500-509, 0-9 ,700-", [(500, 510), (0, 10), (700, 1000)]),
        ("bytes=0-4,3-9,20-29,2000-", [(0, 10), (20, 30)]),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 200, 2)), [(n, n + 1) for n in range(0, 200, 2)]),
    ],
)
async def test_several_ranges(blob: Blob, header: str, spans: list[tuple[int, int]]) -> None:
    answer = await blob.ask(Range=header)
    assert answer.status == 206
    assert "Content-Range" not in answer.headers
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert parts(answer) == [(f"bytes {a}-{b - 1}/1000", "image/png", blob.data[a:b]) for a, b in spans]


@pytest.mark.parametrize(
    "header",
    [
        "items=0-1",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=0-1,5-2",
        "bytes=0-1, bytes=3-4",
        "bytes =0-1",
        "bytes=0 - 1",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 998, 2)),  # hundreds that do not join
    ],
)
async def test_a_range_that_is_none_is_answered_with_the_whole(blob: Blob, header: str) -> None:
    answer = await blob.ask(Range=header)
    assert (answer.status, answer.body) == (200, blob.data)


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=-0", "bytes=99999999999999999999-", "bytes=1000-1001,-0"])
async def test_no_byte_in_range_is_416(blob: Blob, header: str) -> None:
    answer = await blob.ask(Range=header)
    refused(answer, 416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == "bytes */1000"
    assert (await blob.ask("HEAD", Range=header)).status == 200


async def test_an_empty_blob_has_no_range(connector: Connector) -> None:
    empty = await make(connector, b"")
    for header in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        answer = await empty.ask(Range=header)
        refused(answer, 416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == "bytes */0"
    assert (await empty.ask()).headers["Content-Length"] == "0"


async def test_random_ranges_are_what_a_model_says(connector: Connector) -> None:
    size = 70_000
    blob = await make(connector, secrets.token_bytes(size))
    seed = secrets.randbits(32)
    choose = random.Random(seed)
    for _ in range(150):
        specs = [choose.choice(["{a}-{b}", "{a}-", "-{c}"]) for _ in range(choose.choice([1, 1, 2, 3, 8]))]
        asked = []
        for spec in specs:
            a = choose.randrange(size + size // 10)
            asked.append(spec.format(a=a, b=a + choose.randrange(size // 3), c=choose.randrange(size // 4)))
        answer = await blob.ask(Range="bytes=" + ",".join(asked))
        wanted: set[int] = set()
        for spec in asked:
            first, last = spec.split("-")
            span = range(size - int(last), size) if not first else range(int(first), int(last or size) + 1)
            wanted |= {place for place in (span.start, span.stop - 1) if 0 <= place < size and len(span)}
        note_of_failure = f"seed {seed}: {asked}"
        if answer.status == 416:
            assert not wanted, note_of_failure
            continue
        assert answer.status == 206, note_of_failure
        if answer.headers["Content-Type"].startswith("multipart/"):
            got = [(content_range, body) for content_range, _, body in parts(answer)]
        else:
            got = [(answer.headers["Content-Range"], answer.body)]
        covered: set[int] = set()
        for content_range, body in got:
            start, end = map(int, content_range.removeprefix("bytes ").partition("/")[0].split("-"))
            assert body == blob.data[start : end + 1], note_of_failure
            covered |= {place for place in wanted if start <= place <= end}
        assert covered == wanted, note_of_failure


async def test_if_range_with_the_present_tag_gives_the_part_and_with_an_old_one_the_whole(blob: Blob) -> None:
    tag = (await blob.ask("HEAD")).headers["ETag"]
    assert (await blob.ask(Range="bytes=0-1", If_Range=tag)).status == 206
    for old in ('"old"', f"W/{tag}", "Sat, 29 Oct 1994 19:43:31 GMT", f'{tag}, "old"'):
        answer = await blob.ask(Range="bytes=0-1", If_Range=old)
        assert (answer.status, answer.body) == (200, blob.data)
        assert "Content-Range" not in answer.headers
    assert (await blob.ask(Range="bytes=5000-", If_Range='"old"')).status == 200


async def test_a_known_tag_is_304_with_its_headers_and_no_body(blob: Blob) -> None:
    tag = (await blob.ask("HEAD")).headers["ETag"]
    for method in ("GET", "HEAD"):
        for known in (tag, f"W/{tag}", "*", f'"x", {tag}'):
            answer = await blob.ask(method, If_None_Match=known, Range="bytes=0-1")
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["ETag"] == tag
            assert answer.headers["Cache-Control"] == "private, no-store"
    for unknown in ('"x"', tag.strip('"'), ""):
        assert (await blob.ask(If_None_Match=unknown)).status == 200


async def test_if_match_of_other_bytes_is_412(blob: Blob) -> None:
    tag = (await blob.ask("HEAD")).headers["ETag"]
    for good in (tag, "*", f'"x",{tag}'):
        assert (await blob.ask(If_Match=good)).status == 200
    for bad in ('"x"', f"W/{tag}"):
        refused(await blob.ask(If_Match=bad), 412, "precondition_failed")
        assert (await blob.ask("HEAD", If_Match=bad)).status == 412
    refused(await blob.ask(If_Match='"x"', If_None_Match=tag), 412, "precondition_failed")


async def test_dates_decide_nothing(blob: Blob) -> None:
    date = "Sat, 29 Oct 1994 19:43:31 GMT"
    assert (await blob.ask(If_Modified_Since="Sat, 29 Oct 2094 19:43:31 GMT")).status == 200
    assert (await blob.ask(If_Unmodified_Since=date)).status == 200


@pytest.mark.parametrize(
    "blob_id",
    [
        "x",
        "blob_b3_",
        "blob_b3_" + "0" * 63,
        "blob_b3_" + "0" * 65,
        "blob_b3_" + "A" * 64,
        "blob_b3_" + "0" * 64,
        "blob_sha256_" + "0" * 64,
        "blob_sha256_zz",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%00",
        "%ff",
        "%2e%2e",
        "a" * 8000,
        "%F0%9F%A6%8A",
    ],
)
async def test_what_is_no_id_looks_like_one_that_is_not_there(api: Api, blob_id: str) -> None:
    errors = []
    for path in (f"/v1/blobs/{blob_id}", "/v1/blobs/blob_b3_" + "1" * 64):
        error = refused(await api.get(path), 404, "blob_not_found")
        error.pop("request_id")
        errors.append(error)
    assert errors[0] == errors[1]
    assert (await api.call("HEAD", f"/v1/blobs/{blob_id}")).status == 404


async def test_the_sha256_is_an_alias(blob: Blob) -> None:
    sha256 = hashlib.sha256(blob.data).hexdigest()
    answer = await blob.api.get(f"/v1/blobs/blob_sha256_{sha256}")
    assert (answer.status, answer.body) == (200, blob.data)
    assert answer.headers["ETag"] == (await blob.ask("HEAD")).headers["ETag"]


async def test_a_selection_narrows_what_is_found(connector: Connector, blob: Blob) -> None:
    elsewhere = Connector(connector.api, connector.id + "-elsewhere")
    await elsewhere.register()
    path = f"/v1/blobs/{blob.id}"
    assert (await connector.api.get(path, connector_id=connector.id)).status == 200
    refused(await connector.api.get(path, connector_id=elsewhere.id), 404, "blob_not_found")
    refused(await connector.api.get(path, connector_instance_id="nobody"), 404, "blob_not_found")
    refused(await connector.api.get(path, download="1"), 400, "invalid_request", "download")


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml"])
async def test_markup_is_never_shown_in_the_servers_origin(connector: Connector, media_type: str) -> None:
    blob = await make(connector, b"<script>alert(1)</script>" + secrets.token_bytes(8), media_type, filename="a.html")
    for answer in (await blob.ask(), await blob.ask("HEAD"), await blob.ask(Range="bytes=0-7")):
        assert answer.headers["Content-Type"] == media_type
        assert answer.headers["Content-Disposition"] == 'attachment; filename="a.html"'
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("media_type", ["application/pdf", "image/jpeg", "image/webp"])
async def test_what_a_browser_only_shows_is_inline(connector: Connector, media_type: str) -> None:
    blob = await make(connector, secrets.token_bytes(8), media_type)
    assert (await blob.ask()).headers["Content-Disposition"].partition(";")[0] == "inline"


@pytest.mark.parametrize(
    "name",
    ['"; evil="', "a\r\nSet-Cookie: a=b", "../../x", "photo\u202egpj.exe", "🦊%41.png", "x" * 5000, "\x00", ".."],
)
async def test_a_hostile_name_stays_inside_its_header(connector: Connector, name: str) -> None:
    blob = await make(connector, secrets.token_bytes(8), "application/zip", filename=name)
    answer = await blob.ask()
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    header = answer.headers["Content-Disposition"]
    assert header.startswith("attachment")
    assert not set(unquote(header.partition("''")[2])) & set("/\\\r\n\0\u202e")
    assert header.count('"') in (0, 2)
    assert "%" not in header.partition("filename*")[0]


async def test_without_a_token_a_blob_is_not_even_looked_for(anyone: Api, blob: Blob) -> None:
    for blob_id in (blob.id, "blob_b3_" + "0" * 64):
        refused(await anyone.get(f"/v1/blobs/{blob_id}"), 401, "authentication_error")


async def test_a_blob_goes_with_the_record_that_named_it(connector: Connector) -> None:
    blob = await make(connector, secrets.token_bytes(1000))
    assert (await blob.ask()).status == 200
    assert (await connector.api.delete("/v1/streams/notes/records/r", connector_id=connector.id)).status == 204
    refused(await blob.ask(), 404, "blob_not_found")


def parts(answer: Answer) -> list[tuple[str, str, bytes]]:
    """(Content-Range, Content-Type, bytes) of each part; the framing is checked on the way."""
    kind = answer.headers["Content-Type"]
    boundary = b"--" + kind.partition("boundary=")[2].encode()
    assert kind.startswith("multipart/byteranges; boundary=")
    first, *middle, last = answer.body.split(boundary)
    assert (first, last) == (b"", b"--\r\n")
    found = []
    for each in middle:
        assert each.startswith(b"\r\n")
        assert each.endswith(b"\r\n")
        head, _, body = each[2:-2].partition(b"\r\n\r\n")
        fields = message_from_bytes(head)
        found.append((fields["Content-Range"], fields["Content-Type"], body))
    return found
