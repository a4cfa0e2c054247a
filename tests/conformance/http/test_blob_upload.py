"""`POST /v1/blobs`: bytes in, digests out; what is refused leaves nothing."""

import base64
import gzip
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from blake3 import blake3

from tests.conformance.http.api import Answer, Api, Connector, note, part, refused


async def upload(connector: Connector, body: Any, headers: dict[str, str] | None = None, **query: object) -> Answer:
    named = {"connector_id": connector.id, "stream": "notes", "record_key": "r", **query}
    return await connector.api.call("POST", "/v1/blobs", named, body=body, headers=headers)


async def fetch(connector: Connector, blob_id: str) -> Answer:
    return await connector.api.get(f"/v1/blobs/{blob_id}", connector_id=connector.id)


def b3(data: bytes) -> str:
    return "blob_b3_" + blake3(data).hexdigest()


def declared(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


async def in_pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def test_the_answer_says_what_arrived(connector: Connector) -> None:
    data = secrets.token_bytes(100_000)
    answer = await upload(connector, data, mime_type="image/png")
    assert answer.status == 200
    assert answer.json == {
        "object": "blob",
        "blob_id": b3(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "mime_type": "image/png",
    }


async def test_a_chunked_body_without_length_is_taken_as_the_projects_connectors_send_it(connector: Connector) -> None:
    data = secrets.token_bytes(300_001)
    headers = {"Content-Type": "application/octet-stream"}
    answer = await upload(connector, in_pieces(data), headers, run_id="run-1")
    assert (answer.json["sha256"], answer.json["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (await fetch(connector, answer.json["blob_id"])).body == data


@pytest.mark.parametrize("chunked", [False, True])
async def test_nothing_is_a_blob_too(connector: Connector, chunked: bool) -> None:
    answer = await upload(connector, in_pieces(b"") if chunked else b"")
    assert answer.json["size_bytes"] == 0
    assert answer.json["blob_id"] == b3(b"")
    got = await fetch(connector, answer.json["blob_id"])
    assert (got.status, got.body, got.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("application/json", b'{"a":1.0, "a":NaN}\r\n\xff\x00'),
        ("application/json; charset=utf-16", "{}".encode("utf-16")),
        ("text/plain; charset=latin-1", b"\xe4\r\n\xf6\n\x00\x1a"),
        ("application/x-www-form-urlencoded", b"a=%41&b=+"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nhello\r\n--x--\r\n"),
        ("application/x-ndjson", b"{}\n\n{"),
        ("application/gzip", gzip.compress(b"x" * 10_000, mtime=0)),
    ],
)
async def test_the_body_is_never_decoded(connector: Connector, media_type: str, data: bytes) -> None:
    answer = await upload(connector, data, {"Content-Type": media_type})
    assert answer.json["mime_type"] == media_type.partition(";")[0]
    got = await fetch(connector, answer.json["blob_id"])
    assert got.body == data
    assert got.headers["Content-Type"] == media_type.partition(";")[0]
    assert "Content-Encoding" not in got.headers


@pytest.mark.parametrize(
    ("query", "header", "stored"),
    [
        ({"mime_type": "image/png"}, "text/html", "image/png"),
        ({"mime_type": "IMAGE/PNG; q=1"}, "text/html", "image/png"),
        ({}, "Text/HTML; charset=utf-8", "text/html"),
        ({}, " video/mp4 ", "video/mp4"),
        ({}, "application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
    ],
)
async def test_the_parameter_names_the_media_type_before_the_header(
    connector: Connector, query: dict[str, str], header: str, stored: str
) -> None:
    data = secrets.token_bytes(10)
    answer = await upload(connector, data, {"Content-Type": header}, **query)
    assert answer.json["mime_type"] == stored
    assert (await fetch(connector, answer.json["blob_id"])).headers["Content-Type"] == stored


@pytest.mark.parametrize(
    "media_type", ["png", "image/", "/png", "image/png/x", "image /png", "imäge/png", "image/png\r\nX: y", "a/b c", "*"]
)
async def test_what_is_no_media_type_is_refused(connector: Connector, media_type: str) -> None:
    data = secrets.token_bytes(10)
    refused(await upload(connector, data, mime_type=media_type), 400, "invalid_request", "mime_type")
    if media_type.isprintable():
        refused(await upload(connector, data, {"Content-Type": media_type}), 400, "invalid_request", "mime_type")
    refused(await fetch(connector, b3(data)), 404, "blob_not_found")


@pytest.mark.parametrize("name", ["connector_id", "stream", "record_key"])
async def test_what_is_missing_blank_or_repeated_is_named(connector: Connector, name: str) -> None:
    whole = {"connector_id": connector.id, "stream": "notes", "record_key": "r"}
    data = secrets.token_bytes(10)
    for query in (
        [(each, value) for each, value in whole.items() if each != name],
        [*((each, value) for each, value in whole.items() if each != name), (name, "  ")],
        [*whole.items(), (name, whole[name])],
    ):
        answer = await connector.api.call("POST", "/v1/blobs", query, body=data)
        refused(answer, 400, "invalid_request", name)
    refused(await fetch(connector, b3(data)), 404, "blob_not_found")


@pytest.mark.parametrize("name", ["mime_type", "json_path", "connector_instance_id", "connection_id", "run_id"])
async def test_a_blank_or_repeated_option_is_refused(connector: Connector, name: str) -> None:
    blank: dict[str, Any] = {name: " "}
    refused(await upload(connector, b"x", **blank), 400, "invalid_request", name)
    query = [("connector_id", connector.id), ("stream", "notes"), ("record_key", "r"), (name, "a"), (name, "a")]
    refused(await connector.api.call("POST", "/v1/blobs", query, body=b"x"), 400, "invalid_request", name)


async def test_an_unknown_parameter_is_refused(connector: Connector) -> None:
    refused(await upload(connector, b"x", filename="x.png"), 400, "invalid_request", "filename")


async def test_two_names_of_one_instance_must_agree(connector: Connector) -> None:
    home = connector.home
    assert (await upload(connector, b"x", connection_id=home, connector_instance_id=home)).status == 200
    answer = await upload(connector, b"x", connection_id=home, connector_instance_id=connector.work)
    refused(answer, 400, "invalid_request", "connection_id")


@pytest.mark.parametrize("path", ["", "notapointer", "record", "@Record"])
async def test_a_json_path_is_the_record_or_a_pointer(connector: Connector, path: str) -> None:
    refused(await upload(connector, b"x", json_path=path), 400, "invalid_request", "json_path")
    for good in ("@record", "/blob_ref", "/files/0/blob_ref", "/a~1b/~0"):
        assert (await upload(connector, b"x", json_path=good)).status == 200


async def test_an_undeclared_connector_or_stream_is_404(connector: Connector) -> None:
    data = secrets.token_bytes(10)
    refused(await upload(connector, data, stream="nothing"), 404, "not_found")
    refused(await upload(connector, data, connector_id="https://connectors.example/none"), 404, "not_found")
    refused(await fetch(connector, b3(data)), 404, "blob_not_found")


async def test_several_instances_want_one_to_be_named(connector: Connector) -> None:
    for instance in (connector.home, connector.work):
        assert (await upload(connector, b"x", connector_instance_id=instance)).status == 200
    refused(await upload(connector, b"x"), 400, "ambiguous_connector_instance")


@pytest.mark.parametrize("key", ["a/b", "..", "a\x00b", "ключ 🦊", '["a","b"]', "%2F", "k" * 1024])
async def test_a_record_key_may_hold_anything(connector: Connector, key: str) -> None:
    data = secrets.token_bytes(10)
    answer = await upload(connector, data, record_key=key)
    assert answer.status == 200
    ref = {"blob_id": answer.json["blob_id"]}
    await connector.put("notes", note(key, blob_ref=ref))
    assert (await fetch(connector, answer.json["blob_id"])).body == data


async def test_the_same_bytes_are_the_same_blob(connector: Connector) -> None:
    data = secrets.token_bytes(1000)
    first = await upload(connector, data)
    assert (await upload(connector, data)).json == first.json
    assert (await upload(connector, in_pieces(data), record_key="another")).json == first.json


async def test_each_claim_keeps_its_own_media_type(connector: Connector) -> None:
    data = secrets.token_bytes(1000)
    other = Connector(connector.api, connector.id + "-other")
    await other.register()
    for each, media_type in ((connector, "image/png"), (other, "text/html")):
        assert (await upload(each, data, mime_type=media_type)).json["mime_type"] == media_type
    for each, media_type in ((connector, "image/png"), (other, "text/html")):
        assert (await fetch(each, b3(data))).headers["Content-Type"] == media_type


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
async def test_a_digest_that_agrees_is_fine(connector: Connector, name: str) -> None:
    data = secrets.token_bytes(1000)
    for value in (declared(data), f"sha-512=:YWJj:, {declared(data)}", "sha-512=:YWJj:", "unixsum=7"):
        assert (await upload(connector, data, {name: value})).status == 200


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_digest_of_other_bytes_stores_nothing(connector: Connector, name: str, chunked: bool) -> None:
    data = secrets.token_bytes(100_000)
    body = in_pieces(data) if chunked else data
    refused(await upload(connector, body, {name: declared(b"other")}), 400, "digest_mismatch")
    refused(await fetch(connector, b3(data)), 404, "blob_not_found")


async def test_two_digests_that_differ_cannot_both_hold(connector: Connector) -> None:
    data = secrets.token_bytes(1000)
    headers = {"Content-Digest": declared(data), "Repr-Digest": declared(b"other")}
    refused(await upload(connector, data, headers), 400, "digest_mismatch")
    refused(await fetch(connector, b3(data)), 404, "blob_not_found")


@pytest.mark.parametrize("value", ["sha-256=abc", "sha-256=:YWJj:", "sha-256", "(", "SHA-256=:YWJj:"])
async def test_a_digest_that_cannot_be_read_is_refused(connector: Connector, value: str) -> None:
    refused(await upload(connector, b"x", {"Repr-Digest": value}), 400, "invalid_request", "Repr-Digest")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-unknown", "identity, gzip", "gzip, gzip"])
async def test_a_content_coding_is_refused_and_nothing_is_inflated(connector: Connector, coding: str) -> None:
    data = gzip.compress(bytes(10 << 20))
    refused(await upload(connector, data, {"Content-Encoding": coding}), 415, "unsupported_media_type")
    refused(await fetch(connector, b3(data)), 404, "blob_not_found")


async def test_identity_is_no_coding(connector: Connector) -> None:
    assert (await upload(connector, b"x", {"Content-Encoding": "Identity"})).status == 200


async def test_a_wrong_token_is_refused_before_anything_else(anyone: Api, connector: Connector) -> None:
    nobody = Connector(anyone, connector.id)
    data = secrets.token_bytes(10)
    refused(await upload(nobody, data), 401, "authentication_error")
    refused(await nobody.api.call("POST", "/v1/blobs", body=data), 401, "authentication_error")
    refused(await fetch(connector, b3(data)), 404, "blob_not_found")


async def test_what_an_owner_uploads_only_the_owner_sees(connector: Connector, stranger: Api) -> None:
    data = secrets.token_bytes(1000)
    blob_id = (await upload(connector, data)).json["blob_id"]
    foreign = Connector(stranger, connector.id)
    refused(await stranger.get(f"/v1/blobs/{blob_id}"), 404, "blob_not_found")
    await foreign.register()
    # Naming an id proves nothing ...
    answer = await foreign.ingest("notes", note("thief", blob_ref={"blob_id": blob_id}))
    assert answer.json["rejections"][0]["code"] == "blob_not_stored"
    refused(await stranger.get(f"/v1/blobs/{blob_id}"), 404, "blob_not_found")
    # ... having the bytes does.
    assert (await upload(foreign, data)).json["blob_id"] == blob_id
    assert (await stranger.get(f"/v1/blobs/{blob_id}")).body == data


async def test_the_fetch_url_works_as_it_stands(connector: Connector) -> None:
    data = secrets.token_bytes(1000)
    stored = (await upload(connector, data, mime_type="image/png")).json
    await connector.put("notes", note("r", blob_ref={key: stored[key] for key in stored if key != "object"}))
    record = (await connector.one("notes", "r")).json
    assert record["data"]["blob_ref"]["fetch_url"] == f"/v1/blobs/{part(stored['blob_id'])}"
    assert (await connector.api.get(record["data"]["blob_ref"]["fetch_url"])).body == data


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_that_breaks_off_stores_nothing(connector: Connector, chunked: bool) -> None:
    data = secrets.token_bytes(300_000)
    sent = data[:200_000]

    async def pieces() -> AsyncIterator[bytes]:
        yield sent
        raise ConnectionAbortedError("the sender goes away")

    headers = {} if chunked else {"Content-Length": str(len(data))}
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await upload(connector, pieces(), headers)
    for each in (data, sent):
        refused(await fetch(connector, b3(each)), 404, "blob_not_found")
        answer = await connector.ingest("notes", note("r", blob_ref={"blob_id": b3(each)}))
        assert answer.json["rejections"][0]["code"] == "blob_not_stored"
    assert (await upload(connector, data)).json["size_bytes"] == len(data)


async def test_a_body_above_fifty_mebibytes_is_taken(connector: Connector) -> None:
    piece = secrets.token_bytes(1 << 20)
    sha256, b3_ = hashlib.sha256(), blake3()

    async def pieces() -> AsyncIterator[bytes]:
        for n in range(60):
            each = n.to_bytes(4, "big") + piece
            sha256.update(each)
            b3_.update(each)
            yield each

    stored = (await upload(connector, pieces())).json
    assert (stored["sha256"], stored["size_bytes"]) == (sha256.hexdigest(), 60 * (len(piece) + 4))
    assert stored["blob_id"] == "blob_b3_" + b3_.hexdigest()
    got = await connector.api.call("GET", f"/v1/blobs/{stored['blob_id']}", headers={"Range": "bytes=-1000"})
    assert got.body == piece[-1000:]
