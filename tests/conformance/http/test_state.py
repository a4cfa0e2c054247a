"""Sync state: opaque, to the letter, merged by stream."""

import asyncio
import json

import pytest

from tests.conformance.http.api import Answer, Api, Connector, fresh_name, note, part, refused


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


# -- grants --------------------------------------------------------------------------------------------------------


async def granted(connector: Connector, *streams: str, **members: object) -> str:
    """A grant for these streams; its id."""
    body = {"client_id": "app", "connector_id": connector.id, "streams": [{"name": name} for name in streams]}
    answer = await connector.api.call("POST", "/v1/owner/grants", body={**body, **members})
    assert answer.status == 201, answer.body
    grant_id: str = answer.json["grant_id"]
    return grant_id


@pytest.mark.ours
async def test_each_grant_has_a_state_of_its_own_beside_the_global_one(connector: Connector) -> None:
    one, other = await granted(connector, "notes"), await granted(connector, "notes", "log")
    await put(connector, '{"state": {"notes": "global"}}')
    answer = await put(connector, '{"state": {"notes": [ 1.0 ]}}', grant_id=one)
    assert (answer.status, answer.json["grant_id"]) == (200, one)
    assert b'"notes":[ 1.0 ]' in answer.body
    await put(connector, '{"state": {"log": null}}', grant_id=other)
    states = [(await connector.api.get(path(connector), grant_id=each)).json["state"] for each in (one, other)]
    assert states == [{"notes": [1.0]}, {"log": None}]
    assert (await connector.api.get(path(connector))).json["state"] == {"notes": "global"}


@pytest.mark.ours
async def test_a_stream_outside_the_grant_is_refused_and_nothing_is_stored(connector: Connector) -> None:
    grant = await granted(connector, "notes")
    refused(await put(connector, '{"state": {"notes": 1, "log": 2}}', grant_id=grant), 400, "invalid_request", "state")
    refused(await put(connector, '{"state": {"nothing": 2}}', grant_id=grant), 400, "invalid_request", "state")
    answer = await connector.api.get(path(connector), grant_id=grant)
    assert (answer.json["state"], answer.json["updated_at"]) == ({}, None)


@pytest.mark.ours
async def test_a_single_use_grant_has_no_state(connector: Connector) -> None:
    grant = await granted(connector, "notes", access_mode="single_use")
    refused(await put(connector, '{"state": {"notes": 1}}', grant_id=grant), 400, "invalid_request", "grant_id")
    refused(await connector.api.get(path(connector), grant_id=grant), 400, "invalid_request", "grant_id")


@pytest.mark.ours
async def test_a_grant_of_another_owner_or_connector_is_404(connector: Connector, stranger: Api) -> None:
    other = Connector(connector.api, fresh_name())
    theirs = Connector(stranger, connector.id)
    for each in (other, theirs):
        await each.register()
        grant = await granted(each, "notes")
        refused(await put(connector, '{"state": {"notes": 1}}', grant_id=grant), 404, "not_found")
        refused(await connector.api.get(path(connector), grant_id=grant), 404, "not_found")


@pytest.mark.ours
async def test_a_revoked_grants_state_is_gone_and_takes_no_more(connector: Connector) -> None:
    grant = await granted(connector, "notes")
    await put(connector, '{"state": {"notes": 1}}', grant_id=grant)
    await connector.api.call("POST", f"/v1/owner/grants/{grant}/revoke")
    assert (await connector.api.get(path(connector), grant_id=grant)).json["state"] == {}
    refused(await put(connector, '{"state": {"notes": 2}}', grant_id=grant), 409, "conflict")


@pytest.mark.ours
async def test_a_grants_state_keeps_to_the_grants_instances(connector: Connector) -> None:
    await connector.put("notes", note("a"), connection_id=connector.work)
    await connector.put("notes", note("a"), connection_id=connector.home)
    streams = [{"name": "notes", "instance_ids": [connector.work]}]
    grant = await granted(connector, streams=streams)
    assert (await put(connector, '{"state": {"notes": "w"}}', grant_id=grant)).status == 200
    found = await connector.api.get(path(connector), grant_id=grant, connection_id=connector.work)
    assert found.json["state"] == {"notes": "w"}
    refused(await connector.api.get(path(connector), grant_id=grant, connection_id=connector.home), 404, "not_found")
    both = await granted(connector, "notes")
    refused(await connector.api.get(path(connector), grant_id=both), 409, "ambiguous_connection")
    refused(await put(connector, '{"state": {"notes": 1}}', grant_id=both), 400, "ambiguous_connector_instance")
