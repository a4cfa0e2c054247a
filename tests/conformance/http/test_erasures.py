"""Erasures by request: any scope below the owner, previews, the list, and receipts (`tests/test_server` has owners)."""

import json
from typing import Any

import pytest

from records.erasure import receipts
from tests.conformance.http.api import Answer, Api, Connector, fresh_name, note, part, refused

pytestmark = pytest.mark.ours


async def erase(api: Api, **members: Any) -> Answer:
    return await api.call("POST", "/v1/owner/erasures", body=members)


@pytest.fixture
async def filled(connector: Connector) -> Connector:
    """Two notes with a blob each, of which another connector has one, and a line in the log."""
    beside = Connector(connector.api, fresh_name())
    await beside.register()
    for key, body in (("a", b"only here"), ("b", b"here and there")):
        await connector.put("notes", note(key, blob_ref=await connector.upload(key, body)))
    await beside.put("notes", note("b", blob_ref=await beside.upload("b", b"here and there")))
    await connector.put("log", note("a"))
    return connector


async def test_a_preview_says_what_an_erasure_then_does(filled: Connector) -> None:
    preview = (await erase(filled.api, scope="connector", connector_id=filled.id, preview=True)).json
    assert (preview["object"], preview["scope"], preview["connector_id"]) == ("erasure_preview", "connector", filled.id)
    assert {each["stream"]: each["record_count"] for each in preview["streams"]} == {"notes": 2, "log": 1}
    assert (preview["record_count"], preview["blob_count"], preview["bytes"]) == (3, 1, len(b"only here"))
    assert (preview["kept_blob_count"], preview["kept_bytes"]) == (1, len(b"here and there"))
    assert [each["blobs"] for each in preview["kept_with"]] == [1]
    assert len((await filled.page("notes")).data) == 2

    done = (await erase(filled.api, scope="connector", connector_id=filled.id)).json

    assert (done["object"], done["status"]) == ("erasure", "done")
    assert (done["deleted_record_count"], done["deleted_blob_count"]) == (3, 1)
    assert done["deleted_bytes"] == preview["bytes"]
    assert done["kept_with"] == preview["kept_with"]
    refused(await filled.page("notes"), 404, "not_found")


@pytest.mark.parametrize(
    ("members", "records"),
    [
        ({"scope": "record", "stream": "notes", "key": "a"}, 1),
        ({"scope": "record", "stream": "notes", "key": "never"}, 0),
        ({"scope": "stream", "stream": "notes"}, 2),
        ({"scope": "stream", "stream": "log"}, 1),
    ],
)
async def test_less_than_a_connector_goes_by_name(filled: Connector, members: dict[str, str], records: int) -> None:
    done = (await erase(filled.api, connector_id=filled.id, **members)).json
    assert (done["scope"], done["deleted_record_count"]) == (members["scope"], records)
    left = len((await filled.page("notes")).data) + len((await filled.page("log")).data)
    assert left == 3 - records


async def test_an_instance_goes_alone(connector: Connector) -> None:
    for instance in (connector.work, connector.home):
        await connector.put("notes", note("a"), connection_id=instance)
    done = (await erase(connector.api, scope="instance", connector_instance_id=connector.work)).json
    assert done["connection_ids"] == [connector.work]
    assert [each["connector_instance_id"] for each in (await connector.page("notes")).data] == [connector.home]


async def test_a_compound_key_may_be_an_array(connector: Connector) -> None:
    line = {"key": ["x", "y"], "data": {"left": "x", "right": "y"}, "emitted_at": "2026-11-01T00:00:00Z"}
    await connector.put("pairs", line)
    done = (await erase(connector.api, scope="record", connector_id=connector.id, stream="pairs", key=["x", "y"])).json
    assert done["deleted_record_count"] == 1


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"scope": "connector"}, "connector_id"),
        ({"scope": "instance"}, "connection_id"),
        ({"scope": "stream", "connector_id": "x"}, "stream"),
        ({"scope": "record", "connector_id": "x", "stream": "notes"}, "key"),
        ({"scope": "record", "connector_id": " ", "stream": "notes", "key": "a"}, "connector_id"),
        ({"scope": "connector", "connector_id": "x", "stream": "notes"}, "stream"),
        ({"scope": "owner", "connector_id": "x"}, "connector_id"),
        ({"scope": "instance", "connection_id": "a", "connector_instance_id": "b"}, "connection_id"),
    ],
)
async def test_what_a_scope_needs_must_be_named_and_nothing_else(api: Api, members: Any, param: str) -> None:
    refused(await erase(api, **members), 400, "invalid_request", param)


@pytest.mark.parametrize(
    "body", [{}, {"scope": "everything"}, {"scope": "owner", "force": True}, {"scope": "connector", "connector_id": 7}]
)
async def test_a_body_that_cannot_be_meant_erases_nothing(filled: Connector, body: Any) -> None:
    refused(await filled.api.call("POST", "/v1/owner/erasures", body=body), 400, "invalid_request")
    assert len((await filled.page("notes")).data) == 2


async def test_what_is_not_there_or_not_ones_own_is_404(filled: Connector, stranger: Api) -> None:
    for api, name in ((stranger, filled.id), (filled.api, "nobody")):
        for preview in (True, False):
            refused(await erase(api, scope="connector", connector_id=name, preview=preview), 404, "not_found")
            refused(await erase(api, scope="instance", connection_id=name, preview=preview), 404, "not_found")
    other = await erase(filled.api, scope="stream", connector_id=filled.id, stream="nothing")
    refused(other, 404, "not_found")
    assert len((await filled.page("notes")).data) == 2


async def test_the_receipt_is_genuine_and_always_the_same(filled: Connector, anyone: Api) -> None:
    deleted = (await filled.api.delete(f"/v1/owner/connectors/{part(filled.id)}")).json
    key = (await anyone.get("/.well-known/oauth-protected-resource")).json["signing_public_key"]
    said, signer = receipts.verify(json.dumps(deleted["receipt"]).encode(), key)
    assert signer == key
    assert (said.erasure_id, said.erased.records) == (deleted["erasure_id"], deleted["deleted_record_count"])
    assert (said.erased.blobs, said.erased.bytes) == (deleted["deleted_blob_count"], deleted["deleted_bytes"])
    where = f"/v1/owner/erasures/{deleted['erasure_id']}"
    for _ in range(2):
        assert (await filled.api.get(where)).json["receipt"] == deleted["receipt"]


async def test_erasures_are_listed_newest_first_in_pages(connector: Connector) -> None:
    await connector.put("notes", note("a"))
    made = [
        (await erase(connector.api, scope="record", connector_id=connector.id, stream="notes", key=key)).json
        for key in "abc"
    ]
    ids = [each["erasure_id"] for each in reversed(made)]
    first = (await connector.api.get("/v1/owner/erasures", limit=2)).json
    assert [each["erasure_id"] for each in first["data"]] == ids[:2]
    assert first["has_more"] is True
    rest = (await connector.api.get("/v1/owner/erasures", limit=100, after=ids[1])).json
    assert rest["data"][0] == made[0]
    assert all(each["erasure_id"] not in ids[:2] for each in rest["data"])
    assert (await connector.api.get("/v1/owner/erasures", after="era_nobody")).data == []


async def test_an_erasure_by_request_need_not_be_waited_for(connector: Connector) -> None:
    await connector.put("notes", *(note(f"{n:04}") for n in range(500)))
    answer = await connector.api.call(
        "POST",
        "/v1/owner/erasures",
        body={"scope": "stream", "connector_id": connector.id, "stream": "notes"},
        headers={"Prefer": "respond-async"},
    )
    assert answer.status in (200, 202)
    if answer.status == 202:
        assert answer.headers["Location"] == f"/v1/owner/erasures/{answer.json['erasure_id']}"
        assert answer.json["receipt"] is None
