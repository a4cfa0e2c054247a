"""Which records let a blob be seen, where references stand, and when the bytes go."""

import secrets
from typing import Any

import pytest

from tests.conformance.http.api import Answer, Api, Connector, deletion, fresh_name, note, part, refused
from tests.conformance.http.granting import client


@pytest.fixture
def data() -> bytes:
    return secrets.token_bytes(1000)


@pytest.fixture
async def other(api: Api) -> Connector:
    """Another connector of the same owner."""
    other = Connector(api, fresh_name())
    await other.register()
    return other


async def fetch(connector: Connector, ref: dict[str, Any], **query: object) -> Answer:
    return await connector.api.get(f"/v1/blobs/{ref['blob_id']}", **query)


# -- references ----------------------------------------------------------------------------------------------------


async def test_a_fetch_url_is_relative_and_never_that_of_the_record(connector: Connector, data: bytes) -> None:
    ref = await connector.upload("r", data)
    await connector.put("notes", note("r", blob_ref={**ref, "fetch_url": "https://evil.example/"}))
    served = (await connector.one("notes", "r")).json["data"]["blob_ref"]
    assert served == {**ref, "fetch_url": f"/v1/blobs/{part(ref['blob_id'])}"}
    token = (await connector.page("notes", changes_since="beginning")).json["next_changes_since"]
    await connector.put("notes", note("r", blob_ref=ref))
    assert (await connector.page("notes", changes_since=token)).data == []


async def test_a_reference_at_any_depth_gets_its_fetch_url(connector: Connector, data: bytes) -> None:
    ref = await connector.upload("r", data)
    await connector.put("notes", note("r", text=None, files=[{"a": [ref, {"deep": ref}]}], cover={"inner": ref}))
    served = {**ref, "fetch_url": f"/v1/blobs/{part(ref['blob_id'])}"}
    found = (await connector.one("notes", "r")).json["data"]
    assert found["files"] == [{"a": [served, {"deep": served}]}]
    assert found["cover"] == {"inner": served}
    assert (await connector.page("notes")).data[0]["data"] == found
    assert (await connector.page("notes", changes_since="beginning")).data[0]["data"] == found
    assert (await connector.api.get(served["fetch_url"])).body == data


async def test_a_reference_in_a_related_record_gets_its_fetch_url(api: Api, data: bytes) -> None:
    streams = [
        {
            "name": "notes",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "schema": {"type": "object", "properties": {"id": {"type": "string"}}},
            "query": {"expand": [{"name": "files"}]},
            "relationships": [{"name": "files", "stream": "files", "foreign_key": "of", "cardinality": "has_many"}],
        },
        {
            "name": "files",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "schema": {"type": "object", "properties": {"id": {"type": "string"}, "of": {}, "blob_ref": {}}},
        },
    ]
    connector = Connector(api, fresh_name())
    assert (await connector.register(streams=streams)).status == 201
    ref = await connector.upload("f", data, stream="files")
    await connector.put("notes", note("r"))
    await connector.put("files", note("f", of="r", blob_ref=ref))
    (related,) = (await connector.one("notes", "r", **{"expand[]": "files"})).json["expanded"]["files"]["data"]
    assert (await api.get(related["data"]["blob_ref"]["fetch_url"])).body == data


# -- who sees ------------------------------------------------------------------------------------------------------


async def test_naming_a_blob_of_another_connector_of_ones_own_gives_nothing(
    connector: Connector, other: Connector, data: bytes
) -> None:
    ref = await connector.upload("r", data)
    await connector.put("notes", note("r", blob_ref=ref))
    answer = await other.ingest("notes", note("r", blob_ref=ref))
    assert [each["code"] for each in answer.json["rejections"]] == ["blob_not_stored"]
    refused(await fetch(other, ref, connector_id=other.id), 404, "blob_not_found")


async def test_a_second_record_of_the_connector_may_name_its_blob(connector: Connector, data: bytes) -> None:
    ref = await connector.upload("r", data)
    await connector.put("notes", note("r", blob_ref=ref), note("s", blob_ref=ref))
    await connector.put("notes", deletion("r"))
    assert (await fetch(connector, ref)).body == data


@pytest.mark.ours
async def test_each_link_has_its_own_media_type_whoever_uploaded_first(connector: Connector, data: bytes) -> None:
    html = await connector.upload("a", data, "text/html")
    png = await connector.upload("b", data, "image/png")
    assert html["blob_id"] == png["blob_id"]
    await connector.put("notes", note("a", blob_ref=html), note("b", blob_ref=png))
    for key, media_type in (("a", "text/html"), ("b", "image/png")):
        seen = await client(connector, {"name": "notes", "resources": [key]})
        assert (await fetch(seen, html)).headers["Content-Type"] == media_type


@pytest.mark.ours
async def test_a_blob_of_several_connections_is_served_under_the_first_that_shows_it(
    connector: Connector, data: bytes
) -> None:
    types = {connector.home: "image/png", connector.work: "image/gif"}
    for instance, media_type in types.items():
        ref = await connector.upload("r", data, media_type, connection_id=instance)
        await connector.put("notes", note("r", blob_ref=ref), connection_id=instance)
    assert (await fetch(connector, ref)).headers["Content-Type"] == "image/png"
    for instance, media_type in types.items():
        assert (await fetch(connector, ref, connection_id=instance)).headers["Content-Type"] == media_type
        seen = await client(connector, {"name": "notes", "instance_ids": [instance]})
        assert (await fetch(seen, ref)).headers["Content-Type"] == media_type
    await connector.api.delete(f"/v1/owner/connections/{connector.work}")
    refused(await fetch(seen, ref), 404, "blob_not_found")


@pytest.mark.ours
async def test_a_blob_named_in_a_hidden_field_is_not_seen_by_the_field_that_is_granted(
    connector: Connector, data: bytes
) -> None:
    ref, shown = await connector.upload("r", data), await connector.upload("r", data + b"!")
    await connector.put("notes", note("r", blob_ref=ref, text=None), note("s", blob_ref=shown))
    seen = await client(connector, {"name": "notes", "fields": ["text"]})
    for each in (ref, shown):
        refused(await fetch(seen, each), 404, "blob_not_found")
    assert b"blob_b3_" not in (await seen.page("notes")).body


# -- where bytes go ------------------------------------------------------------------------------------------------


async def linked(connector: Connector, key: str, ref: dict[str, Any]) -> None:
    """The record `key` names the blob for a while with another."""
    await connector.put("notes", note(key, blob_ref=ref), note("s", blob_ref=ref))
    await connector.put("notes", deletion("s"))
    assert (await fetch(connector, ref)).status == 200


async def test_a_blob_is_gone_with_the_last_record_that_names_it(connector: Connector, data: bytes) -> None:
    for last in (deletion("r"), note("r"), note("r", blob_ref=await connector.upload("r", b"other"))):
        ref = await connector.upload("r", data)
        await linked(connector, "r", ref)
        await connector.put("notes", last)
        refused(await fetch(connector, ref), 404, "blob_not_found")


@pytest.mark.parametrize("path", ["/r", ""])
async def test_an_erasure_takes_the_bytes_so_that_naming_them_gives_nothing(
    connector: Connector, data: bytes, path: str
) -> None:
    ref = await connector.upload("r", data)
    await linked(connector, "r", ref)
    assert (await connector.api.delete(f"/v1/streams/notes/records{path}", connector_id=connector.id)).status == 204
    refused(await fetch(connector, ref), 404, "blob_not_found")
    answer = await connector.ingest("notes", note("r", blob_ref=ref))
    assert [each["code"] for each in answer.json["rejections"]] == ["blob_not_stored"]


def removed(answer: Answer, size: int) -> None:
    """One blob of this size went, and no other."""
    assert answer.status == 200, answer.body
    assert (answer.json["deleted_blob_count"], answer.json["deleted_bytes"]) == (1, size)


async def test_bytes_that_another_connector_holds_stay_and_all_else_goes(
    connector: Connector, other: Connector, data: bytes
) -> None:
    alone = secrets.token_bytes(300)
    for each in (connector, other):
        await each.put("notes", note("r", blob_ref=await each.upload("r", data)))
    mine = await connector.upload("s", alone)
    shared = (await other.one("notes", "r")).json["data"]["blob_ref"]
    await connector.put("notes", note("s", blob_ref=mine))
    first = await connector.api.delete(f"/v1/owner/connectors/{part(connector.id)}")
    removed(first, 300)
    refused(await fetch(other, mine), 404, "blob_not_found")
    assert (await fetch(other, shared)).body == data
    # Whoever uploaded first is gone; the last one takes the bytes along.
    last = await other.api.delete(f"/v1/owner/connectors/{part(other.id)}")
    removed(last, len(data))
    refused(await fetch(other, shared), 404, "blob_not_found")


async def test_an_upload_for_no_record_goes_with_its_connection(connector: Connector, data: bytes) -> None:
    ref = await connector.upload("never", data)
    answer = await connector.api.delete(f"/v1/owner/connectors/{part(connector.id)}")
    removed(answer, len(data))
    refused(await fetch(connector, ref), 404, "blob_not_found")
