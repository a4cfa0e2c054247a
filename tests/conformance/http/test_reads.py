"""Streams, pages and single records."""

from typing import Any

import aiohttp
import pytest

from tests.conformance.http.api import Api, Connector, fresh_name, note, part, refused


async def test_streams_are_listed_with_counts_and_freshness(connector: Connector) -> None:
    await connector.put("notes", note("a"), {**note("b"), "emitted_at": "2026-05-05T00:00:00Z"})
    answer = await connector.api.get("/v1/streams", connector_id=connector.id)
    assert answer.json["object"] == "list"
    notes, log, _ = answer.data
    assert (notes["object"], notes["name"], notes["record_count"]) == ("stream", "notes", 2)
    assert notes["last_updated"].startswith("2026-05-05T00:00:00")
    assert notes["freshness"]["captured_at"] == notes["last_updated"]
    assert "connector_id" in notes
    assert (log["record_count"], log["last_updated"], log["freshness"]["status"]) == (0, None, "unknown")


async def test_without_a_connector_the_streams_of_all_are_listed(api: Api, connector: Connector) -> None:
    second = Connector(api, fresh_name())
    await second.register()
    ids = [each["connector_id"] for each in (await api.get("/v1/streams")).data if each["name"] == "notes"]
    assert {connector.id, second.id} <= set(ids)


async def test_metadata_is_the_declaration(connector: Connector) -> None:
    answer = await connector.api.get("/v1/streams/notes", connector_id=connector.id)
    metadata = answer.json
    assert (metadata["object"], metadata["name"]) == ("stream_metadata", "notes")
    assert metadata["primary_key"] == ["id"]
    assert metadata["cursor_field"] == metadata["consent_time_field"] == "at"
    assert set(metadata["schema"]["properties"]) == {"id", "at", "text", "blob_ref"}
    assert metadata["query"] == {"range_filters": {"at": ["gte", "lt"]}}
    assert metadata["views"] == [{"id": "short", "fields": ["id", "text"]}]
    assert metadata["relationships"] == []
    assert metadata["selection"] is None


@pytest.mark.parametrize(
    "path", ["/v1/streams/nothing", "/v1/streams/nothing/records", "/v1/streams/nothing/records/a"]
)
async def test_an_unknown_stream_is_404(connector: Connector, path: str) -> None:
    refused(await connector.api.get(path), 404, "not_found")
    refused(await connector.api.get(path, connector_id=connector.id), 404, "not_found")


async def test_an_unknown_connector_or_instance_is_404(connector: Connector) -> None:
    await connector.put("notes", note("a"))
    for path in ("/v1/streams", "/v1/streams/notes", "/v1/streams/notes/records", "/v1/streams/notes/records/a"):
        refused(await connector.api.get(path, connector_id="nobody"), 404, "not_found")
        answer = await connector.api.get(path, connector_id=connector.id, connection_id="cin_nobody")
        refused(answer, 404, "not_found")


async def test_a_record_has_its_envelope(connector: Connector) -> None:
    await connector.put("notes", note("a", "2026-01-01", text="x"))
    answer = await connector.one("notes", "a")
    record = answer.json
    assert record["connector_instance_id"]
    assert {name: record[name] for name in ("object", "id", "stream", "data", "emitted_at")} == {
        "object": "record",
        "id": "a",
        "stream": "notes",
        "data": {"id": "a", "at": "2026-01-01", "text": "x"},
        "emitted_at": "2026-01-01T00:00:00Z",
    }
    assert (await connector.page("notes")).data == [record]


async def test_an_unknown_record_is_404(connector: Connector) -> None:
    refused(await connector.one("notes", "nothing"), 404, "not_found")


async def test_the_default_page_has_25_records_newest_first(connector: Connector) -> None:
    await connector.put("notes", *(note(f"{n:02}", f"2026-01-{n:02}") for n in range(1, 31)))
    answer = await connector.page("notes")
    assert [each["id"] for each in answer.data] == [f"{n:02}" for n in range(30, 5, -1)]
    assert answer.json["has_more"] is True
    assert answer.json["url"] == "/v1/streams/notes/records"


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_paging_visits_each_record_once_in_order(connector: Connector, order: str, limit: int) -> None:
    moments = ["2026-01-01", "2026-01-02", None, "2026-01-02", "2026-01-03"]
    await connector.put("notes", *(note(f"{n:02}", moments[n % 5]) for n in range(20)))
    pages = await connector.pages("notes", order=order, limit=limit)
    assert all(len(page) == limit for page in pages[:-1])
    assert 0 < len(pages[-1]) <= limit
    timed = sorted((moments[n % 5] or "", f"{n:02}") for n in range(20) if moments[n % 5])
    untimed = sorted(f"{n:02}" for n in range(20) if not moments[n % 5])
    if order == "desc":
        timed, untimed = timed[::-1], untimed[::-1]
    # Records without the cursor field come last in both orders.
    assert [key for page in pages for key in page] == [key for _, key in timed] + untimed


async def test_a_limit_above_100_is_clamped_and_says_so(connector: Connector) -> None:
    await connector.put("notes", *(note(f"{n:03}") for n in range(120)))
    answer = await connector.page("notes", limit=500)
    assert len(answer.data) == 100
    (warning,) = answer.json["meta"]["warnings"]
    assert warning["code"] == "limit_clamped"
    assert warning["detail"] == {"requested_limit": 500, "max_limit": 100}
    exact = await connector.page("notes", limit=100)
    assert (len(exact.data), "meta" in exact.json) == (100, False)


async def test_long_records_make_pages_shorter_and_none_is_lost(connector: Connector) -> None:
    mebibytes = [3, 3, 3, 9, 1, 9, 10]
    await connector.put("notes", *(note(f"{n}", text="x" * (size << 20)) for n, size in enumerate(mebibytes)))
    pages = await connector.pages("notes", order="asc", limit=100)
    assert [key for page in pages for key in page] == [f"{n}" for n in range(len(mebibytes))]
    assert len(pages) > 1
    assert all(sum(mebibytes[int(key)] for key in page) <= 10 for page in pages)
    assert all(pages), "has_more promised a record"


@pytest.mark.parametrize("limit", ["0", "-1", "ten", "1.5", "", " 5", "+5", "٥", "1e2", "9" * 40])
async def test_a_limit_that_is_no_number_of_records_is_refused(connector: Connector, limit: str) -> None:
    refused(await connector.page("notes", limit=limit), 400, "invalid_request", "limit")


@pytest.mark.parametrize("order", ["up", "ASC", ""])
async def test_another_order_is_refused(connector: Connector, order: str) -> None:
    refused(await connector.page("notes", order=order), 400, "invalid_request", "order")


async def test_the_last_page_has_no_cursor(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    for limit in (2, 3):
        answer = await connector.page("notes", limit=limit)
        assert answer.json["has_more"] is False
        assert "next_cursor" not in answer.json


async def test_a_cursor_is_good_for_its_own_list_only(connector: Connector, stranger: Api) -> None:
    await connector.put("notes", note("a"), note("b"), note("c"))
    await connector.put("log", note("a"), note("b"), note("c"))
    cursor = (await connector.page("notes", limit=1, order="asc")).json["next_cursor"]
    assert (await connector.page("notes", limit=1, order="asc", cursor=cursor)).data[0]["id"] == "b"
    refused(await connector.page("notes", order="desc", cursor=cursor), 400, "invalid_cursor")
    refused(await connector.page("log", order="asc", cursor=cursor), 400, "invalid_cursor")
    other = Connector(stranger, connector.id)
    await other.register()
    refused(await other.page("notes", order="asc", cursor=cursor), 400, "invalid_cursor")


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "=" * 50, "A" * 16_000, "eyJraW5kIjoicGFnZSJ9"])
async def test_a_cursor_that_this_server_did_not_make_is_refused(connector: Connector, cursor: str) -> None:
    await connector.put("notes", note("a"))
    refused(await connector.page("notes", cursor=cursor), 400, "invalid_cursor")


async def test_a_cursor_shows_nothing_of_what_it_holds(connector: Connector) -> None:
    await connector.put("notes", *(note(f"secret{n}") for n in range(3)))
    cursors = {(await connector.page("notes", limit=1)).json["next_cursor"] for _ in range(3)}
    assert len(cursors) == 3  # a fresh nonce each time
    assert all("secret" not in cursor for cursor in cursors)


async def test_without_a_connector_a_list_is_the_union_in_one_order(api: Api) -> None:
    stream = fresh_name().rpartition("/")[2]
    first, second = Connector(api, fresh_name()), Connector(api, fresh_name())
    declared: dict[str, Any] = {
        "name": stream,
        "semantics": "mutable_state",
        "primary_key": ["id"],
        "cursor_field": "at",
        "schema": {"type": "object", "properties": {"id": {}, "at": {}}},
    }
    for each in (first, second):
        await each.register(streams=[declared])
    await first.put(stream, *(note(f"f{n}", f"2026-01-0{n}") for n in (1, 3, 5)))
    await second.put(stream, *(note(f"s{n}", f"2026-01-0{n}") for n in (2, 4, 6)))
    answer = await api.get(f"/v1/streams/{stream}/records", order="asc")
    assert [each["id"] for each in answer.data] == ["f1", "s2", "f3", "s4", "f5", "s6"]
    assert [each["connector_id"] for each in answer.data] == [first.id, second.id] * 3


async def test_a_key_in_several_instances_is_409_with_the_candidates(connector: Connector) -> None:
    await connector.put("notes", note("a"), connection_id=connector.work)
    await connector.put("notes", note("a"), note("b"), connection_id=connector.home)
    error = refused(await connector.one("notes", "a"), 409, "ambiguous_connection")
    assert {each["connection_id"] for each in error["available_connections"]} == {connector.work, connector.home}
    assert error["retry_with"] == "connection_id"
    assert (await connector.one("notes", "b")).status == 200
    assert (await connector.one("notes", "a", connection_id=connector.work)).json[
        "connector_instance_id"
    ] == connector.work


async def test_a_list_fans_in_over_all_instances_or_keeps_to_one(connector: Connector) -> None:
    await connector.put("notes", note("a"), connection_id=connector.work)
    await connector.put("notes", note("a"), note("b"), connection_id=connector.home)
    both = [(each["connector_instance_id"], each["id"]) for each in (await connector.page("notes", order="asc")).data]
    assert sorted(both) == [(connector.home, "a"), (connector.home, "b"), (connector.work, "a")]
    assert [each["id"] for each in (await connector.page("notes", connection_id=connector.work)).data] == ["a"]


async def test_records_of_another_owner_are_not_there(connector: Connector, stranger: Api) -> None:
    await connector.put("notes", note("mine"))
    other = Connector(stranger, connector.id)
    await other.register()
    assert (await other.page("notes")).data == []
    refused(await other.one("notes", "mine"), 404, "not_found")
    (instance,) = {each["connector_instance_id"] for each in (await connector.page("notes")).data}
    refused(await other.page("notes", connection_id=instance), 404, "not_found")


async def test_a_stream_may_have_any_name(api: Api) -> None:
    connector = Connector(api, fresh_name())
    name = "a/b ü%?&#"
    declared = {
        "name": name,
        "semantics": "mutable_state",
        "primary_key": ["id"],
        "schema": {"type": "object", "properties": {"id": {}}},
    }
    await connector.register(streams=[declared])
    await connector.put(name, note("a"))
    answer = await connector.page(name)
    assert [each["id"] for each in answer.data] == ["a"]
    assert answer.json["url"] == f"/v1/streams/{part(name)}/records"


async def test_a_cursor_goes_on_in_another_session(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    cursor = (await connector.page("notes", limit=1, order="asc")).json["next_cursor"]
    async with aiohttp.ClientSession() as later:
        again = Connector(Api(later, connector.api.base_url, connector.api.token), connector.id)
        for _ in range(2):
            answer = await again.page("notes", limit=1, order="asc", cursor=cursor)
            assert [each["id"] for each in answer.data] == ["b"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, 10, 9, -1, 2**53 + 1, 2**53, None], ["3", "2", "1", "5", "4", "0", "6"]),
        ([1.5, 1, None, -0.5, 2], ["3", "1", "0", "4", "2"]),
    ],
)
async def test_numbers_order_a_list_as_numbers(
    api: Api, order: str, values: list[float | None], expected: list[str]
) -> None:
    connector = Connector(api, fresh_name())
    declared = {
        "name": "counted",
        "semantics": "mutable_state",
        "primary_key": ["id"],
        "cursor_field": "n",
        "schema": {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": ["number", "null"]}}},
    }
    await connector.register(streams=[declared])
    await connector.put("counted", *(note(f"{at}", n=value) for at, value in enumerate(values)))
    if order == "desc":
        with_value, without = expected[: -values.count(None)], expected[-values.count(None) :]
        expected = with_value[::-1] + without[::-1]
    for limit in (1, 2, 100):
        found = [key for page in await connector.pages("counted", order=order, limit=limit) for key in page]
        assert found == expected


async def test_whose_data_it_is_says_the_token_alone(connector: Connector) -> None:
    await connector.put("notes", note("a"))
    for path in ("/v1/streams", "/v1/streams/notes", "/v1/streams/notes/records", "/v1/streams/notes/records/a"):
        refused(await connector.api.get(path, subject_id="bob"), 400, "invalid_request", "subject_id")
        refused(await connector.api.get(path, owner="bob"), 400, "invalid_request", "owner")
    headers = {"X-Subject-Id": "bob", "X-Forwarded-User": "bob"}
    answer = await connector.api.call(
        "GET", "/v1/streams/notes/records", {"connector_id": connector.id}, headers=headers
    )
    assert [each["id"] for each in answer.data] == ["a"]
