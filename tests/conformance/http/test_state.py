"""Sync state: opaque, to the letter, merged by stream."""

import asyncio
import json

import pytest

from tests.conformance.http.api import Answer, Api, Connector, note, part, refused


def path(connector: Connector) -> str:
    return f"/v1/state/{part(connector.id)}"


async def put(connector: Connector, text: str | bytes, **query: object) -> Answer:
    body = text if isinstance(text, bytes) else text.encode()
    return await connector.api.call(
        "PUT", path(connector), query, body=body, headers={"Content-Type": "application/json"}
    )


async def test_empty_state_is_an_empty_object_and_no_time(connector: Connector) -> None:
    answer = await connector.api.get(path(connector))
    assert answer.status == 200
    assert answer.json["object"] == "stream_state"
    assert (answer.json["state"], answer.json["updated_at"]) == ({}, None)
    assert "connector_id" in answer.json


async def test_put_merges_by_stream(connector: Connector) -> None:
    await put(connector, '{"state": {"notes": {"page": 1}, "log": [1]}}')
    answer = await put(connector, '{"state": {"notes": {"other": 2}}}')
    assert answer.json["state"] == {"notes": {"other": 2}, "log": [1]}
    read = await connector.api.get(path(connector))
    assert read.json == answer.json
    assert read.json["updated_at"]


@pytest.mark.parametrize(
    "value",
    [
        "null",
        '{ "b":1,  "a" : [ 1.10, 1e2, -0, 9007199254740993 ] }',
        r'"nul \u0000 and \u00e9"',
        "123456789012345678901234567890",
        "[" * 400 + "]" * 400,
    ],
)
async def test_a_value_comes_back_to_the_letter(connector: Connector, value: str) -> None:
    answer = await put(connector, '{"state": {"notes": ' + value + "}}")
    assert answer.status == 200, answer.body
    assert b'"notes":' + value.encode() in (await connector.api.get(path(connector))).body


async def test_megabytes_of_state_are_taken(connector: Connector) -> None:
    value = '"' + "x" * (5 << 20) + '"'
    assert (await put(connector, '{"state": {"notes": ' + value + "}}")).status == 200
    assert value.encode() in (await connector.api.get(path(connector))).body


async def test_state_over_sixteen_mebibytes_is_413(connector: Connector) -> None:
    answer = await put(connector, '{"state": {"notes": "' + "x" * (17 << 20) + '"}}')
    refused(answer, 413, "payload_too_large")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"state": 5}',
        b'{"state": null}',
        b'{"state": {"notes": NaN}}',
        b'{"state": {"notes": "\xff"}}',
        b'{"state": {"notes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"state": {"notes": 1}',
        b'{"state": {"notes": "a\x00b"}}',
    ],
)
async def test_a_body_that_cannot_be_meant_is_refused_and_nothing_is_stored(connector: Connector, body: bytes) -> None:
    refused(await put(connector, body), 400, "invalid_request")
    assert (await connector.api.get(path(connector))).json["state"] == {}


async def test_an_undeclared_stream_is_refused_and_nothing_is_stored(connector: Connector) -> None:
    answer = await put(connector, '{"state": {"notes": 1, "nothing": 2}}')
    refused(answer, 400, "invalid_request")
    assert (await connector.api.get(path(connector))).json["state"] == {}


async def test_state_of_an_unknown_connector_is_404(api: Api) -> None:
    refused(await api.get("/v1/state/nobody"), 404, "not_found")
    refused(await put(Connector(api, "nobody"), '{"state": {}}'), 404, "not_found")


async def test_an_unknown_grant_is_404(connector: Connector) -> None:
    refused(await connector.api.get(path(connector), grant_id="grant_nobody"), 404, "not_found")
    refused(await put(connector, '{"state": {"notes": 1}}', grant_id="grant_nobody"), 404, "not_found")


async def test_instances_have_states_of_their_own(connector: Connector) -> None:
    await connector.put("notes", note("a"), connection_id=connector.work)
    await connector.put("notes", note("a"), connection_id=connector.home)
    await put(connector, '{"state": {"notes": "w"}}', connector_instance_id=connector.work)
    await put(connector, '{"state": {"notes": "h"}}', connection_id=connector.home)
    assert (await connector.api.get(path(connector), connection_id=connector.work)).json["state"] == {"notes": "w"}
    assert (await connector.api.get(path(connector), connection_id=connector.home)).json["state"] == {"notes": "h"}
    refused(await put(connector, '{"state": {"notes": 1}}'), 400, "ambiguous_connector_instance")
    refused(await connector.api.get(path(connector)), 409, "ambiguous_connection")


async def test_states_of_two_owners_are_apart(connector: Connector, stranger: Api) -> None:
    await put(connector, '{"state": {"notes": 1}}')
    other = Connector(stranger, connector.id)
    await other.register()
    assert (await stranger.get(path(other))).json["state"] == {}


async def test_puts_of_several_streams_at_once_lose_nothing(connector: Connector) -> None:
    await asyncio.gather(
        *(put(connector, json.dumps({"state": {stream: n}})) for n, stream in enumerate(("notes", "log", "pairs")))
    )
    assert (await connector.api.get(path(connector))).json["state"] == {"notes": 0, "log": 1, "pairs": 2}
