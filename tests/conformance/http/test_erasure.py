"""Deletion of records and streams, erasure of connections and connectors, and what the audit log tells of it."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.http.api import Answer, Api, Connector, note, part, refused


async def finished(api: Api, answer: Answer) -> None:
    """Wait for an erasure that was answered with 202."""
    assert answer.status == 202, answer.body
    for _ in range(300):
        status = await api.get(answer.headers["Location"])
        assert status.status == 200
        if status.json["status"] == "done":
            return
        await asyncio.sleep(0.1)
    pytest.fail("the erasure never ended")


async def test_deleting_a_record_is_204_also_when_it_is_not_there(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    for _ in range(2):
        answer = await connector.api.delete("/v1/streams/notes/records/a", connector_id=connector.id)
        assert (answer.status, answer.body) == (204, b"")
    refused(await connector.one("notes", "a"), 404, "not_found")
    assert [each["id"] for each in (await connector.page("notes")).data] == ["b"]


async def test_deleting_a_streams_records_leaves_the_others(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    await connector.put("log", note("a"))
    answer = await connector.api.delete("/v1/streams/notes/records", connector_id=connector.id)
    assert answer.status == 204
    assert (await connector.page("notes")).data == []
    assert len((await connector.page("log")).data) == 1


async def test_a_deleted_record_may_come_again(connector: Connector) -> None:
    await connector.put("notes", note("a", text="one"))
    await connector.api.delete("/v1/streams/notes/records/a", connector_id=connector.id)
    await connector.put("notes", note("a", text="two"))
    assert (await connector.one("notes", "a")).json["data"]["text"] == "two"


async def test_deletion_needs_a_connector_and_a_stream_that_are_there(connector: Connector) -> None:
    await connector.put("notes", note("a"))
    for path in ("/v1/streams/notes/records", "/v1/streams/notes/records/a"):
        refused(await connector.api.delete(path), 400, "invalid_request", "connector_id")
        refused(await connector.api.delete(path, connector_id="nobody"), 404, "not_found")
        unknown = await connector.api.delete(path, connector_id=connector.id, connection_id="nobody")
        refused(unknown, 404, "not_found")
    refused(await connector.api.delete("/v1/streams/x/records/a", connector_id=connector.id), 404, "not_found")
    assert (await connector.one("notes", "a")).status == 200


async def test_deletion_keeps_to_the_named_instance(connector: Connector) -> None:
    for instance in (connector.work, connector.home):
        await connector.put("notes", note("a"), connection_id=instance)
    await connector.api.delete("/v1/streams/notes/records/a", connector_id=connector.id, connection_id=connector.work)
    assert [each["connector_instance_id"] for each in (await connector.page("notes")).data] == [connector.home]


async def test_erasing_a_connector_removes_all_that_it_brought(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    await connector.put("log", note("a"))
    state = f"/v1/state/{part(connector.id)}"
    await connector.api.call("PUT", state, body={"state": {"notes": "x"}})
    answer = await connector.api.delete(f"/v1/owner/connectors/{part(connector.id)}")
    assert answer.status == 200, answer.body
    deleted = answer.json
    assert deleted["object"] == "owner_connection_delete"
    assert deleted["deleted"] is True
    assert deleted["connector_id"] == connector.id
    assert (deleted["deleted_record_count"], deleted["deleted_stream_count"]) == (3, 2)
    assert (deleted["deleted_blob_count"], deleted["deleted_bytes"]) == (0, 0)
    refused(await connector.page("notes"), 404, "not_found")
    refused(await connector.api.get(state), 404, "not_found")
    assert connector.id not in str((await connector.api.get("/v1/owner/connections")).json)
    refused(await connector.api.delete(f"/v1/owner/connectors/{part(connector.id)}"), 404, "not_found")


async def test_erasing_an_instance_leaves_its_siblings(connector: Connector) -> None:
    for instance in (connector.work, connector.home):
        await connector.put("notes", note("a"), connection_id=instance)
    answer = await connector.api.delete(f"/v1/owner/connections/{connector.work}")
    assert answer.status == 200
    assert (answer.json["connection_id"], answer.json["deleted_record_count"]) == (connector.work, 1)
    assert [each["connector_instance_id"] for each in (await connector.page("notes")).data] == [connector.home]
    refused(await connector.api.delete(f"/v1/owner/connections/{connector.work}"), 404, "not_found")
    refused(await connector.ingest("notes", note("b"), connection_id=connector.work), 404, "not_found")
    await connector.api.delete(f"/v1/owner/connections/{connector.home}")


async def test_a_foreign_connection_and_one_that_is_not_look_the_same(connector: Connector, stranger: Api) -> None:
    await connector.put("notes", note("a"))
    instance = (await connector.one("notes", "a")).json["connector_instance_id"]
    answers = [
        await stranger.delete(f"/v1/owner/connections/{instance}"),
        await stranger.delete("/v1/owner/connections/cin_nobody"),
        await stranger.delete(f"/v1/owner/connectors/{part(connector.id)}"),
        await stranger.delete("/v1/owner/connectors/nobody"),
    ]
    errors = [refused(answer, 404, "not_found")["message"] for answer in answers]
    assert errors[0] == errors[1]
    assert errors[2] == errors[3]
    assert (await connector.one("notes", "a")).status == 200


async def test_an_erased_connector_may_be_registered_again_and_is_empty(connector: Connector) -> None:
    await connector.put("notes", note("a"))
    await connector.api.delete(f"/v1/owner/connectors/{part(connector.id)}")
    refused(await connector.ingest("notes", note("a")), 404, "not_found")
    assert (await connector.register()).status == 201
    assert (await connector.page("notes")).data == []
    await connector.put("notes", note("b"))
    assert [each["id"] for each in (await connector.page("notes")).data] == ["b"]


@pytest.mark.parametrize("prefer", ["respond-async", "wait=5, Respond-Async"])
async def test_an_erasure_need_not_be_waited_for(connector: Connector, prefer: str) -> None:
    await connector.put("notes", *(note(f"{n:04}") for n in range(500)))
    answer = await connector.api.call(
        "DELETE", f"/v1/owner/connectors/{part(connector.id)}", headers={"Prefer": prefer}
    )
    if answer.status == 202:  # it may as well be complete at once
        assert answer.headers["Preference-Applied"] == "respond-async"
        assert answer.json["object"] == "erasure"
        await finished(connector.api, answer)
    refused(await connector.page("notes"), 404, "not_found")


@pytest.mark.ours
async def test_an_erasure_is_asked_about_by_its_owner_only(connector: Connector, stranger: Api) -> None:
    await connector.put("notes", note("a"))
    answer = await connector.api.delete(f"/v1/owner/connectors/{part(connector.id)}")
    where = f"/v1/owner/erasures/{answer.json['erasure_id']}"
    report = (await connector.api.get(where)).json
    assert (report["object"], report["status"], report["deleted_record_count"]) == ("erasure", "done", 1)
    assert report["completed_at"]
    refused(await stranger.get(where), 404, "not_found")
    refused(await connector.api.get("/v1/owner/erasures/era_nobody"), 404, "not_found")


@pytest.mark.ours
async def test_the_spine_tells_what_was_done_without_content(connector: Connector) -> None:
    await connector.put("notes", note("a-secret-key", text="a-secret-text"))
    await connector.api.delete("/v1/streams/notes/records/a-secret-key", connector_id=connector.id)
    events: list[Any] = []
    after = 0
    while True:
        page = (await connector.api.get("/v1/owner/spine", after=after, limit=7)).json
        events += page["data"]
        after = page["next_after"]
        if not page["has_more"]:
            break
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(later["previous"] == earlier["hash"] for earlier, later in pairwise(events))
    kinds = [event["body"]["kind"] for event in events if connector.id in str(event["body"])]
    assert kinds == ["connector.register", "records.ingest", "erasure.begin", "erasure.done"]
    assert "a-secret" not in str(events)


@pytest.mark.parametrize("query", [{"after": "-1"}, {"after": "x"}, {"limit": "0"}, {"limit": "many"}])
@pytest.mark.ours
async def test_the_spine_takes_whole_numbers_only(api: Api, query: dict[str, object]) -> None:
    refused(await api.get("/v1/owner/spine", **query), 400, "invalid_request")
