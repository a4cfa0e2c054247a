"""Several accounts of one connector, and what is left of one that was erased."""

import pytest

from tests.conformance.http.api import Api, Connector, fresh_name, note, part, refused
from tests.conformance.http.granting import client


@pytest.fixture
async def two(connector: Connector) -> Connector:
    """The connector with a record `a` in each of two accounts, and a `b` in one."""
    await connector.put("notes", note("a", text="work"), connection_id=connector.work)
    await connector.put("notes", note("a", text="home"), note("b", text="home"), connection_id=connector.home)
    return connector


async def test_two_names_of_an_instance_must_agree_on_reads_too(two: Connector) -> None:
    good = {"connection_id": two.work, "connector_instance_id": two.work}
    wrong = {"connection_id": two.work, "connector_instance_id": two.home}
    assert [each["id"] for each in (await two.page("notes", **good)).data] == ["a"]
    for path in (
        "/v1/streams",
        "/v1/streams/notes/records",
        "/v1/streams/notes/records/a",
        f"/v1/state/{part(two.id)}",
    ):
        refused(await two.api.get(path, **wrong), 400, "invalid_request", "connection_id")
    refused(await two.api.delete("/v1/streams/notes/records/a", connector_id=two.id, **wrong), 400, "invalid_request")


async def test_a_write_that_names_no_instance_goes_to_the_only_one(connector: Connector) -> None:
    await connector.put("notes", note("a"), connection_id=connector.work)
    await connector.put("notes", note("b"))
    assert {each["connector_instance_id"] for each in (await connector.page("notes")).data} == {connector.work}


async def test_every_record_says_which_connection_it_is_of(two: Connector) -> None:
    for answer in (await two.page("notes"), await two.page("notes", changes_since="beginning")):
        found = {(each["id"], each["data"]["text"], each["connector_instance_id"]) for each in answer.data}
        assert found == {("a", "work", two.work), ("a", "home", two.home), ("b", "home", two.home)}
    assert (await two.one("notes", "b")).json["connector_instance_id"] == two.home


@pytest.mark.parametrize("limit", [1, 100])
async def test_a_session_of_changes_covers_several_connections(two: Connector, limit: int) -> None:
    token = (await two.page("notes", changes_since="beginning")).json["next_changes_since"]
    await two.put("notes", note("a", text="new"), connection_id=two.work)
    await two.put("notes", note("b", text="new"), connection_id=two.home)
    answer = await two.page("notes", changes_since=token, limit=limit)
    found = list(answer.data)
    while answer.json["has_more"]:
        answer = await two.page("notes", cursor=answer.json["next_cursor"], limit=limit)
        found += answer.data
    assert {(each["id"], each["connector_instance_id"]) for each in found} == {("a", two.work), ("b", two.home)}
    assert len(found) == 2


async def test_a_session_of_one_connection_knows_nothing_of_its_sibling(two: Connector) -> None:
    named = {"connection_id": two.work}
    token = (await two.page("notes", changes_since="beginning", **named)).json["next_changes_since"]
    await two.put("notes", note("a", text="new"), note("c"), connection_id=two.home)
    assert (await two.page("notes", changes_since=token, **named)).data == []


@pytest.mark.ours
async def test_changes_come_from_granted_instances_and_records_only(two: Connector) -> None:
    seen = await client(two, {"name": "notes", "instance_ids": [two.home], "resources": ["a", "c"]})
    first = await seen.page("notes", changes_since="beginning")
    assert [(each["id"], each["connector_instance_id"]) for each in first.data] == [("a", two.home)]
    for instance in (two.work, two.home):
        lines = [note(key, text="new") for key in ("b", "c", "d", "e")]
        await two.put("notes", *lines, connection_id=instance)
    after = await seen.page("notes", changes_since=first.json["next_changes_since"], limit=1)
    assert [(each["id"], each["connector_instance_id"]) for each in after.data] == [("c", two.home)]
    assert after.json["has_more"] is False


# -- erasure -------------------------------------------------------------------------------------------------------


async def test_erasing_a_connector_erases_all_its_connections(two: Connector) -> None:
    answer = await two.api.delete(f"/v1/owner/connectors/{part(two.id)}")
    assert (answer.status, answer.json["deleted_record_count"]) == (200, 3)
    assert {two.work, two.home}.isdisjoint(
        each["connection_id"] for each in (await two.api.get("/v1/owner/connections")).data
    )


async def test_erasing_a_connection_leaves_the_streams_and_connectors_beside_it(two: Connector, api: Api) -> None:
    beside = Connector(api, fresh_name())
    await beside.register()
    await beside.put("notes", note("a"))
    await two.put("log", note("a"), connection_id=two.home)
    state = f"/v1/state/{part(two.id)}"
    for instance in (two.work, two.home):
        await api.call("PUT", state, {"connection_id": instance}, body={"state": {"notes": instance}})
    assert (await api.delete(f"/v1/owner/connections/{two.work}")).status == 200
    assert {each["id"] for each in (await two.page("notes")).data} == {"a", "b"}
    assert len((await two.page("log")).data) == len((await beside.page("notes")).data) == 1
    assert (await api.get(state, connection_id=two.home)).json["state"] == {"notes": two.home}
    refused(await api.get(state, connection_id=two.work), 404, "not_found")


async def test_nothing_that_is_written_late_brings_an_erased_connection_back(two: Connector) -> None:
    assert (await two.api.delete(f"/v1/owner/connections/{two.work}")).status == 200
    named = {"connection_id": two.work}
    refused(await two.ingest("notes", note("a", text="work"), **named), 404, "not_found")
    upload = {"connector_id": two.id, "stream": "notes", "record_key": "a", **named}
    refused(await two.api.call("POST", "/v1/blobs", upload, body=b"late"), 404, "not_found")
    state = await two.api.call("PUT", f"/v1/state/{part(two.id)}", named, body={"state": {"notes": 1}})
    refused(state, 404, "not_found")
    assert two.work not in str((await two.api.get("/v1/owner/connections")).json)
    assert {each["connector_instance_id"] for each in (await two.page("notes")).data} == {two.home}


async def test_deleting_a_streams_records_leaves_the_same_stream_of_others(two: Connector, api: Api) -> None:
    beside = Connector(api, fresh_name())
    await beside.register()
    await beside.put("notes", note("a"))
    named = {"connector_id": two.id, "connection_id": two.home}
    assert (await api.delete("/v1/streams/notes/records", **named)).status == 204
    assert [each["connector_instance_id"] for each in (await two.page("notes")).data] == [two.work]
    assert len((await beside.page("notes")).data) == 1
