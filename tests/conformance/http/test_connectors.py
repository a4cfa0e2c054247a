"""Connectors: registration, listing, their instances."""

import json
from typing import Any

import pytest

from tests.conformance.http.api import MANIFEST, Api, Connector, fresh_name, note, part, refused


async def test_registering_is_201_first_and_200_again(api: Api) -> None:
    connector = Connector(api, fresh_name())
    first, again = await connector.register(), await connector.register()
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert first.json["connector_id"] == connector.id
    assert isinstance(first.json["connector_key"], str)


async def test_the_path_without_v1_registers_too(api: Api) -> None:
    connector_id = fresh_name()
    answer = await api.call("POST", "/connectors", body={"connector_id": connector_id, **MANIFEST})
    assert answer.status == 201
    assert (await api.get(f"/v1/connectors/{part(connector_id)}")).status == 200


async def test_a_manifest_comes_back_as_it_went_in(api: Api) -> None:
    connector_id = fresh_name()
    text = json.dumps({"connector_id": connector_id, **MANIFEST}, indent=3).encode()
    await api.call("POST", "/v1/connectors", body=text, headers={"Content-Type": "application/json; charset=utf-8"})
    answer = await api.get(f"/v1/connectors/{part(connector_id)}")
    assert answer.body == text
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_connector_in_the_registry_and_its_short_name_are_one(api: Api) -> None:
    name = fresh_name().rpartition("/")[2]
    long = Connector(api, f"https://registry.pdpp.dev/connectors/{name}")
    assert (await long.register()).json["connector_key"] == name
    await long.put("notes", note("a"))
    assert [each["id"] for each in (await Connector(api, name).page("notes")).data] == ["a"]
    assert (await api.get(f"/v1/state/{name}")).status == 200


async def test_connectors_are_listed_with_their_streams(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    answer = await connector.api.get("/v1/connectors")
    assert answer.json["object"] == "list"
    (mine,) = [each for each in answer.data if each["connector_id"] == connector.id]
    assert mine["object"] == "connector"
    assert mine["source"]["id"] == connector.id
    assert mine["stream_count"] == 3
    assert {each["name"]: each["record_count"] for each in mine["streams"]} == {"notes": 2, "log": 0, "pairs": 0}


async def test_manifests_are_of_one_owner(connector: Connector, stranger: Api) -> None:
    refused(await stranger.get(f"/v1/connectors/{part(connector.id)}"), 404, "not_found")
    assert connector.id not in str((await stranger.get("/v1/connectors")).json)
    refused(await Connector(stranger, connector.id).ingest("notes", note("a")), 404, "not_found")


async def test_an_unknown_connector_is_404(api: Api) -> None:
    refused(await api.get("/v1/connectors/nobody"), 404, "not_found")


def with_stream(**members: Any) -> dict[str, Any]:
    return {**MANIFEST, "streams": [{**MANIFEST["streams"][0], **members}]}


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {**MANIFEST, "connector_id": ""},
        {**MANIFEST, "connector_id": "a\nb"},
        {**MANIFEST, "connector_id": "x" * 600},
        {**MANIFEST, "connector_id": "c", "streams": []},
        {**MANIFEST, "connector_id": "c", "streams": "notes"},
        {"connector_id": "c", **with_stream(semantics="whatever")},
        {"connector_id": "c", **with_stream(primary_key=[])},
        {"connector_id": "c", **with_stream(primary_key=["nothing"])},
        {"connector_id": "c", **with_stream(cursor_field="nothing")},
        {"connector_id": "c", **with_stream(schema={"type": "nonsense"})},
        {"connector_id": "c", **with_stream(schema={"$ref": "http://127.0.0.1:1/schema"})},
        ["a list"],
    ],
)
async def test_a_manifest_that_cannot_be_meant_is_refused(api: Api, manifest: Any) -> None:
    before = (await api.get("/v1/connectors")).data
    refused(await api.call("POST", "/v1/connectors", body=manifest), 400, "invalid_request")
    assert (await api.get("/v1/connectors")).data == before


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"connector_id": "\xff"}',
        b'{"connector_id": NaN}',
        b"[" * 100_000,
        b'{"a":' * 5_000,
        b"\xef\xbb\xbf{}",
    ],
)
async def test_a_manifest_that_is_not_json_is_refused(api: Api, text: bytes) -> None:
    answer = await api.call("POST", "/v1/connectors", body=text, headers={"Content-Type": "application/json"})
    refused(answer, 400, "invalid_request")


async def test_a_manifest_over_a_mebibyte_is_413(api: Api) -> None:
    manifest = {"connector_id": fresh_name(), **MANIFEST, "filler": "x" * (1 << 20)}
    refused(await api.call("POST", "/v1/connectors", body=manifest), 413, "payload_too_large")


async def test_a_manifest_under_another_media_type_is_415(api: Api) -> None:
    answer = await api.call("POST", "/v1/connectors", body=b"{}", headers={"Content-Type": "text/plain"})
    refused(answer, 415, "unsupported_media_type")


async def test_the_default_instance_is_made_by_the_first_write_never_by_a_read(connector: Connector) -> None:
    async def mine() -> list[Any]:
        listed = (await connector.api.get("/v1/owner/connections")).data
        return [each for each in listed if each["connector_id"] == connector.id]

    await connector.page("notes")
    await connector.api.get(f"/v1/state/{part(connector.id)}")
    assert await mine() == []
    await connector.ingest("notes")
    (instance,) = await mine()
    assert instance["object"] == "connection"
    assert instance["connection_id"] == instance["connector_instance_id"]
    assert instance["is_default"] is True


async def test_a_write_to_an_undeclared_stream_makes_no_instance(connector: Connector) -> None:
    refused(await connector.ingest("nothing", note("a")), 404, "not_found")
    assert connector.id not in str((await connector.api.get("/v1/owner/connections")).json)
