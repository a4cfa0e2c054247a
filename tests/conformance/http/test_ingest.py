"""Ingest: lines in, counts out, the good ones kept and the bad ones named."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conformance.http.api import Api, Connector, deletion, note, refused


async def test_lines_are_stored_and_counted(connector: Connector) -> None:
    answer = await connector.ingest("notes", note("a"), note("b"))
    assert answer.status == 200
    assert answer.json == {
        "stream": "notes",
        "records_accepted": 2,
        "records_attempted": 2,
        "records_rejected": 0,
        "rejections": [],
        "errors": [],
    }
    assert {each["id"] for each in (await connector.page("notes")).data} == {"a", "b"}


async def test_no_line_at_all_is_no_error(connector: Connector) -> None:
    assert (await connector.send("notes", b"")).json["records_attempted"] == 0


def _with_a_long_name(value: object) -> bytes:
    fields: dict[str, Any] = {"n" * 5000: value}
    return json.dumps(note("x", **fields)).encode()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "malformed_ndjson"),
        (b"nonsense", "malformed_ndjson"),
        (b'{"key": "x", "data": {"id": "x"}, "emitted_at": NaN}', "malformed_ndjson"),
        (b'{"key": "\xff\xfe", "data": {}}', "invalid_utf8"),
        (b"5", "invalid_record"),
        (b"null", "invalid_record"),
        (b"[1]", "invalid_record"),
        (b'{"key": "x", "emitted_at": "2026-01-01T00:00:00Z"}', "invalid_record"),
        (b'{"key": "x", "data": 5, "emitted_at": "2026-01-01T00:00:00Z"}', "invalid_record"),
        (b'{"key": "x", "data": {"id": "x"}}', "invalid_record"),
        (b'{"key": "x", "data": {"id": "x"}, "emitted_at": "yesterday"}', "invalid_record"),
        (b'{"key": "x", "data": {"id": "x"}, "emitted_at": "2026-01-01T00:00:00Z", "op": "burn"}', "invalid_record"),
        (b'{"key": "x", "data": {"id": "y"}, "emitted_at": "2026-01-01T00:00:00Z"}', "invalid_record_identity"),
        (b'{"key": "x", "data": {}, "emitted_at": "2026-01-01T00:00:00Z"}', "invalid_record_identity"),
        (b'{"data": {"id": "x"}, "emitted_at": "2026-01-01T00:00:00Z"}', "invalid_record_identity"),
        (b'{"key": {}, "data": {"id": "x"}, "emitted_at": "2026-01-01T00:00:00Z"}', "invalid_record_identity"),
        (b'{"key": "", "data": {"id": ""}, "emitted_at": "2026-01-01T00:00:00Z"}', "invalid_record_identity"),
        (json.dumps(note("k" * 10_000)).encode(), "invalid_record_identity"),
        (json.dumps(note("x", blob_ref={"blob_id": "blob_b3_" + "0" * 64})).encode(), "blob_not_stored"),
        (json.dumps(note("x", blob_ref={"blob_id": "of no blob"})).encode(), "blob_not_stored"),
        (
            b'{"key":"x","emitted_at":"2026-01-01T00:00:00Z","data":{"id":"x","deep":'
            + b"[" * 600
            + b"]" * 600
            + b"}}",
            "invalid_record",
        ),
        (b"[" * 100_000, "invalid_record"),
        (_with_a_long_name({"blob_ref": {"blob_id": "of no blob"}}), "blob_not_stored"),
        (_with_a_long_name({"blob_id": "blob_b3_" + "0" * 64}), "blob_not_stored"),
    ],
)
async def test_a_bad_line_is_rejected_alone_and_for_good(connector: Connector, line: bytes, code: str) -> None:
    answer = await connector.ingest("notes", note("before"), b"", line, note("after"))
    assert answer.status == 200
    assert (answer.json["records_accepted"], answer.json["records_rejected"]) == (2, 1)
    (rejection,) = answer.json["rejections"]
    assert (rejection["input_index"], rejection["code"]) == (1, code)
    assert 0 < len(rejection["message"]) < 1000
    assert {each["id"] for each in (await connector.page("notes")).data} == {"before", "after"}


async def test_only_bad_lines_are_still_200(connector: Connector) -> None:
    answer = await connector.ingest("notes", *([b"{"] * 3))
    assert answer.status == 200
    assert (answer.json["records_attempted"], answer.json["records_rejected"]) == (3, 3)
    assert [each["input_index"] for each in answer.json["rejections"]] == [0, 1, 2]


async def test_very_many_rejections_are_counted_and_the_first_are_told(connector: Connector) -> None:
    answer = await connector.send("notes", b"{\n" * 10_500)
    assert (answer.json["records_rejected"], len(answer.json["rejections"])) == (10_500, 10_000)
    assert answer.json["rejections_truncated"] is True


async def test_blank_lines_and_carriage_returns_are_no_lines(connector: Connector) -> None:
    body = b"\n\r\n  \n" + json.dumps(note("a")).encode() + b"\r\n\n" + json.dumps(note("b")).encode()
    answer = await connector.send("notes", body)
    assert (answer.json["records_attempted"], answer.json["records_accepted"]) == (2, 2)


async def test_a_batch_of_thousands_arrives_in_any_pieces(connector: Connector) -> None:
    body = b"".join(json.dumps(note(f"{n:05}", text="x" * (n % 97))).encode() + b"\n" for n in range(3_000))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7_919):
            yield body[start : start + 7_919]

    answer = await connector.send("notes", pieces())
    assert answer.json["records_accepted"] == 3_000
    summary = (await connector.api.get("/v1/streams", connector_id=connector.id)).data[0]
    assert (summary["name"], summary["record_count"]) == ("notes", 3_000)


async def test_sending_again_changes_nothing(connector: Connector) -> None:
    await connector.put("notes", note("a", "2026-01-01", text="one"))
    before = (await connector.one("notes", "a")).json
    await connector.put("notes", {**note("a", "2026-01-01", text="one"), "emitted_at": "2026-03-03T00:00:00Z"})
    assert (await connector.one("notes", "a")).json == before


async def test_mutable_state_takes_the_last_arrival(connector: Connector) -> None:
    await connector.put("notes", note("a", text="one"), note("a", text="two"))
    await connector.put("notes", note("a", text="three"))
    assert (await connector.one("notes", "a")).json["data"]["text"] == "three"


async def test_append_only_accepts_a_key_again_and_changes_nothing(connector: Connector) -> None:
    await connector.put("log", note("a", text="one"))
    await connector.put("log", note("a", text="two"))
    assert (await connector.one("log", "a")).json["data"]["text"] == "one"


async def test_a_delete_removes_and_an_unknown_key_is_no_error(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    await connector.put("notes", deletion("a"), deletion("never there"))
    refused(await connector.one("notes", "a"), 404, "not_found")
    assert [each["id"] for each in (await connector.page("notes")).data] == ["b"]


async def test_the_parts_of_a_compound_key_are_strings(connector: Connector) -> None:
    def pair(key: Any, left: Any, right: Any) -> dict[str, Any]:
        return {"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": {"left": left, "right": right}}

    await connector.put("pairs", pair(["a", 7], "a", 7), pair(["a", "7"], "a", "7"), pair('["b/c","ü"]', "b/c", "ü"))
    assert {each["id"] for each in (await connector.page("pairs")).data} == {'["a","7"]', '["b/c","ü"]'}
    assert (await connector.one("pairs", '["b/c","ü"]')).json["data"] == {"left": "b/c", "right": "ü"}
    answer = await connector.ingest("pairs", pair(["a"], "a", 7), pair("a", "a", 7), pair(["a", "8"], "a", 7))
    assert [each["code"] for each in answer.json["rejections"]] == ["invalid_record_identity"] * 3


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "", "application/x-ndjson-seq", "nonsense"])
async def test_another_media_type_is_415_and_nothing_is_stored(connector: Connector, media_type: str) -> None:
    answer = await connector.api.call(
        "POST",
        "/v1/ingest/notes",
        {"connector_id": connector.id},
        body=json.dumps(note("a")).encode(),
        headers={"Content-Type": media_type},
    )
    refused(answer, 415, "unsupported_media_type")
    assert (await connector.page("notes")).data == []


@pytest.mark.parametrize("media_type", ["application/x-ndjson; charset=utf-8", "Application/X-NDJSON"])
async def test_parameters_and_case_of_the_media_type_do_not_matter(connector: Connector, media_type: str) -> None:
    answer = await connector.api.call(
        "POST",
        "/v1/ingest/notes",
        {"connector_id": connector.id},
        body=json.dumps(note("a")).encode(),
        headers={"Content-Type": media_type},
    )
    assert answer.json["records_accepted"] == 1


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "zstd"])
async def test_a_coded_body_is_415(connector: Connector, coding: str) -> None:
    answer = await connector.api.call(
        "POST",
        "/v1/ingest/notes",
        {"connector_id": connector.id},
        body=b"\x1f\x8b" + bytes(100),
        headers={"Content-Type": "application/x-ndjson", "Content-Encoding": coding},
    )
    refused(answer, 415, "unsupported_media_type")


async def test_the_connector_must_be_named_once_and_not_blank(api: Api, connector: Connector) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    for query in ([], [("connector_id", "")], [("connector_id", " ")], [("connector_id", connector.id)] * 2):
        answer = await api.call("POST", "/v1/ingest/notes", query, body=b"", headers=headers)
        refused(answer, 400, "invalid_request", "connector_id")


async def test_an_unknown_connector_or_stream_is_404(api: Api, connector: Connector) -> None:
    refused(await connector.ingest("nothing", note("a")), 404, "not_found")
    refused(await Connector(api, "nobody").ingest("notes", note("a")), 404, "not_found")


async def test_parameters_of_the_collection_runtime_are_taken_and_others_refused(connector: Connector) -> None:
    assert (await connector.ingest("notes", note("a"), run_id="run_1")).status == 200
    refused(await connector.ingest("notes", note("a"), surprise="1"), 400, "invalid_request", "surprise")


async def test_instances_are_kept_apart_and_a_write_must_name_one_of_several(connector: Connector) -> None:
    await connector.put("notes", note("a", text="work"), connector_instance_id=connector.work)
    await connector.put("notes", note("a", text="home"), connection_id=connector.home)
    error = refused(await connector.ingest("notes", note("b")), 400, "ambiguous_connector_instance")
    assert {each["connection_id"] for each in error["available_connections"]} == {connector.work, connector.home}
    assert (await connector.one("notes", "a", connection_id=connector.home)).json["data"]["text"] == "home"
    assert (await connector.one("notes", "a", connector_instance_id=connector.work)).json["data"]["text"] == "work"
    different = await connector.ingest(
        "notes", note("c"), connector_instance_id=connector.work, connection_id=connector.home
    )
    refused(different, 400, "invalid_request")


async def test_a_line_of_a_hundred_megabytes_is_413_with_its_number_and_what_was_kept(connector: Connector) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps(note("a")).encode() + b"\n\n" + json.dumps(note("b")).encode() + b"\n{\n"
        yield b'{"key": "c", "data": {"id": "c", "text": "'
        for _ in range(100):
            yield b"x" * (1 << 20)

    answer = await connector.send("notes", pieces())
    error = refused(answer, 413, "payload_too_large")
    assert (error["line"], error["input_index"]) == (5, 3)
    assert (error["records_attempted"], error["records_accepted"], error["records_rejected"]) == (3, 2, 1)
    assert {each["id"] for each in (await connector.page("notes")).data} == {"a", "b"}


async def test_a_line_of_fifteen_mebibytes_is_taken(connector: Connector) -> None:
    await connector.put("notes", note("a", text="x" * (15 << 20)))
    assert len((await connector.one("notes", "a")).json["data"]["text"]) == 15 << 20


@pytest.mark.parametrize(
    "text",
    [
        r'{"id":"k","text":"nul: \u0000 end"}',
        r'{"id":"k","text":"escaped \u00e9 and plain é, 😀 and \ud83d\ude00"}',
        '{"id":"k","n":9007199254740993,"m":123456789012345678901234567890,"e":1.10,"f":1e2,"g":-0}',
        '{"id":"k",  "spaces" : [ 1,2 ]}',
        '{"id":"k","deep":' + "[" * 500 + "]" * 500 + "}",
        '{"id":"k","":"","__proto__":{"a":null}}',
    ],
)
async def test_data_comes_back_to_the_letter(connector: Connector, text: str) -> None:
    answer = await connector.spell("notes", "k", text.encode())
    assert answer.json["records_accepted"] == 1, answer.body
    assert b'"data":' + text.encode() in (await connector.one("notes", "k")).body
    assert b'"data":' + text.encode() in (await connector.page("notes")).body


KEYS = [
    "a/b",
    "../../etc/passwd",
    "..",
    ".",
    "%2e%2e%2f",
    "nul \x00 in it",
    "line\nbreak",
    "a b+c&d=e?f#g",
    "ü 😀",
    '["not","compound"]',
    "x" * 1024,
    "{brace}",
]


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_may_hold_any_character(connector: Connector, key: str) -> None:
    await connector.put("notes", note(key, text="here"))
    answer = await connector.one("notes", key)
    assert answer.status == 200, answer.body
    assert (answer.json["id"], answer.json["data"]["text"]) == (key, "here")
    assert (
        await connector.api.delete(f"/v1/streams/notes/records/{encoded(key)}", connector_id=connector.id)
    ).status == 204
    refused(await connector.one("notes", key), 404, "not_found")


def encoded(key: str) -> str:
    """Every byte percent-encoded, as nobody does it by hand."""
    return "".join(f"%{byte:02x}" for byte in key.encode())


async def test_a_body_that_breaks_off_leaves_only_whole_lines(connector: Connector) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps(note("a")).encode() + b"\n" + json.dumps(note("b")).encode()[:-1]
        await asyncio.sleep(0.1)
        raise RuntimeError("the sender goes away")

    with pytest.raises(aiohttp.ClientConnectionError):
        await connector.send("notes", pieces())
    await asyncio.sleep(0.2)
    assert "b" not in {each["id"] for each in (await connector.page("notes")).data}


async def test_a_rejection_repeats_nothing_of_the_data(connector: Connector) -> None:
    lines = [
        {**note("k", text="s3cr3t"), "data": "s3cr3t"},
        {**note("k", text="s3cr3t"), "emitted_at": "s3cr3t"},
        {**note("k", text="s3cr3t"), "op": "s3cr3t"},
        note("k", text="s3cr3t", blob_ref={"blob_id": "s3cr3t"}),
        b'{"key": "k", "data": {"text": "s3cr3t',
        {"key": "k", "data": {"id": "s3cr3t"}, "emitted_at": "2026-01-01T00:00:00Z"},
    ]
    answer = await connector.ingest("notes", *lines)
    assert answer.json["records_rejected"] == len(lines)
    assert b"s3cr3t" not in answer.body


async def test_a_stream_named_in_a_line_does_not_count(connector: Connector) -> None:
    await connector.put("notes", {**note("a"), "stream": "log"})
    assert (await connector.one("notes", "a")).json["stream"] == "notes"
    assert (await connector.page("log")).data == []
