"""What a client sees: exactly what its grant names."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.conformance.http.api import Api, Connector, deletion, refused
from tests.conformance.http.granting import client, grant, holding
from tests.conformance.http.library import BOOKS, T, book, covered, filled, line

pytestmark = pytest.mark.ours

STREAM_PATHS = ["/v1/streams/{}", "/v1/streams/{}/records", "/v1/streams/{}/records/x"]


@pytest.fixture
async def library(api: Api) -> Connector:
    return await filled(api)


async def ids(seen: Connector, stream: str = "books", **query: object) -> list[str]:
    return sorted(key for page in await seen.pages(stream, **query) for key in page)


# -- streams -------------------------------------------------------------------------------------------------------


async def test_a_client_sees_its_granted_streams_only(library: Connector) -> None:
    seen = await client(library, {"name": "books"})
    listed = (await seen.api.get("/v1/streams")).data
    assert [(each["name"], each["record_count"]) for each in listed] == [("books", 5)]
    (connector,) = (await seen.api.get("/v1/connectors")).data
    assert ([each["name"] for each in connector["streams"]], connector["stream_count"]) == (["books"], 1)
    for path in STREAM_PATHS:
        refused(await seen.api.get(path.format("chapters")), 403, "grant_stream_not_allowed")


async def test_metadata_is_not_cut_to_the_grant(library: Connector) -> None:
    seen = await client(library, {"name": "books", "fields": ["pages"], "resources": ["ada"]})
    theirs = (await seen.api.get("/v1/streams/books")).json
    mine = (await library.api.get("/v1/streams/books", connector_id=library.id)).json
    assert {**theirs, "freshness": None} == {**mine, "freshness": None}


async def test_what_is_not_granted_and_what_is_not_there_look_the_same(library: Connector) -> None:
    seen = await client(library, {"name": "books"})
    for path in STREAM_PATHS:
        there, nowhere = [await seen.api.get(path.format(name)) for name in ("shelves", "nothing")]
        one, other = refused(there, 403, "grant_stream_not_allowed"), refused(nowhere, 403, "grant_stream_not_allowed")
        assert {**one, "request_id": ""} == {**other, "request_id": ""}


async def test_a_client_needs_no_connector_and_may_name_its_own_only(library: Connector, api: Api) -> None:
    seen, other = await client(library, {"name": "books"}), await filled(api)
    assert len((await seen.api.get("/v1/streams/books/records")).data) == 5
    refused(await seen.api.get("/v1/streams/books/records", connector_id=other.id), 404, "not_found")
    refused(await seen.api.get("/v1/streams/books/records", connection_id="nobody"), 404, "not_found")


async def test_counts_are_those_under_the_grant(library: Connector) -> None:
    since = {"since": "1990-01-01T00:00:00Z"}
    for bounds, count in (
        ({"resources": ["ada", "dee", "nobody"]}, 2),
        ({"time_constraint": since}, 2),
        ({"time_constraint": since, "resources": ["ada", "cyd"]}, 1),
    ):
        seen = await client(library, {"name": "books", **bounds})
        (stream,) = (await seen.api.get("/v1/streams")).data
        assert stream["record_count"] == count


async def test_the_last_update_is_that_of_what_the_grant_shows(library: Connector) -> None:
    await library.put("books", book("eve", "true", emitted_at="2026-09-09T00:00:00Z"))
    await library.put(
        "books", book("cyd", "Notes", printed_at="1990-01-01T00:00:01Z", emitted_at="2026-08-08T00:00:00Z")
    )
    for bounds, last in (
        ({}, "2026-09-09T00:00:00Z"),
        ({"time_constraint": {"since": "1990-01-01T00:00:00Z"}}, "2026-08-08T00:00:00Z"),
        ({"resources": ["ada"]}, T),
        ({"resources": ["nobody"]}, None),
    ):
        seen = await client(library, {"name": "books", **bounds})
        (stream,) = (await seen.api.get("/v1/streams")).data
        assert (stream["last_updated"], stream["freshness"]["captured_at"]) == (last, last)


# -- records -------------------------------------------------------------------------------------------------------


async def test_fields_are_those_of_the_grant_and_the_required_ones(library: Connector) -> None:
    seen = await client(library, {"name": "books", "fields": ["pages"]})
    first = (await seen.page("books", order="asc")).data[0]
    assert first["data"] == {"id": "ada", "title": "Notes", "pages": 65}
    assert (await seen.one("books", "ada")).json["data"] == first["data"]
    assert (await seen.one("books", "ada", fields="title")).json["data"] == {"id": "ada", "title": "Notes"}


async def test_fields_that_were_not_granted_are_refused(library: Connector) -> None:
    seen = await client(library, {"name": "books", "fields": ["pages"]})
    for ask in (seen.page("books", fields="lent"), seen.one("books", "ada", fields="pages,lent")):
        refused(await ask, 403, "field_not_granted", "fields")
    for ask in (seen.page("books", fields="nothing"), seen.one("books", "ada", fields="nothing")):
        refused(await ask, 400, "unknown_field", "fields")


async def test_resources_are_the_only_records(library: Connector) -> None:
    seen = await client(library, {"name": "books", "resources": ["ada", "eve", "x'; --"]})
    assert await ids(seen) == ["ada", "eve"]
    assert [len(page) for page in await seen.pages("books", limit=1)] == [1, 1]
    refused(await seen.one("books", "bob"), 404, "not_found")
    assert (await seen.one("books", "eve")).status == 200


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_page_of_long_resources_ends_early(library: Connector, limit: int) -> None:
    sizes = {"v": 1, "w": 9, "x": 5, "y": 5, "z": 1}
    for key, size in sizes.items():
        await library.put("books", book(key, "x" * (size << 20)))
    seen = await client(library, {"name": "books", "resources": list(sizes)})
    for order, pages in (("asc", [["v"], ["w"], ["x"], ["y", "z"]]), ("desc", [["z", "y"], ["x"], ["w"], ["v"]])):
        expected = pages if limit > 1 else [[key] for page in pages for key in page]
        assert await seen.pages("books", limit=limit, order=order) == expected


async def test_the_time_constraint_includes_since_and_excludes_until(library: Connector) -> None:
    bob, cyd = "1990-01-01T00:00:00Z", "1990-01-01T00:00:01Z"
    for window, expected in (
        ({"since": bob}, ["bob", "cyd"]),
        ({"since": cyd}, ["cyd"]),
        ({"until": cyd}, ["ada", "bob"]),
        ({"until": bob}, ["ada"]),
        ({"since": bob, "until": cyd}, ["bob"]),
        ({"since": "2000-01-01T00:00:00Z"}, []),
    ):
        seen = await client(library, {"name": "books", "time_constraint": window})
        assert await ids(seen) == expected, window
        for key in {"ada", "bob", "cyd", "dee", "eve"} - set(expected):
            refused(await seen.one("books", key), 404, "not_found")


@pytest.mark.parametrize(
    "text",
    [
        r'"nul \u0000, \u00e9, é, 😀 and \ud83d\ude00"',
        '{"n":9007199254740993,"m":123456789012345678901234567890,"e":1.10,"f":1e2,"g":-0}',
        '[ 1, {"":  null, "__proto__":{}} ]',
        "[" * 400 + "]" * 400,
    ],
)
async def test_cutting_a_record_to_the_grant_leaves_its_values_as_they_are(library: Connector, text: str) -> None:
    await library.spell("books", "k", f'{{"id":"k","lent":true, "title":"x","tags": {text} }}'.encode())
    seen = await client(library, {"name": "books", "fields": ["tags"], "resources": ["k"]})
    exactly = json.JSONDecoder(parse_float=Decimal).decode
    (listed,) = exactly((await seen.page("books")).body.decode())["data"]
    single = exactly((await seen.one("books", "k")).body.decode())
    assert listed["data"] == single["data"] == {"id": "k", "title": "x", "tags": exactly(text)}


async def test_siblings_of_the_granted_instances_stay_hidden(library: Connector) -> None:
    await library.put("books", book("ada", "Theirs"), book("zoe"), connector_instance_id=library.work)
    seen = await client(library, {"name": "books", "instance_ids": [library.work]})
    assert await ids(seen) == ["ada", "zoe"]
    assert (await seen.one("books", "ada")).json["data"]["title"] == "Theirs"
    refused(await seen.one("books", "bob"), 404, "not_found")
    living = (await library.api.get("/v1/owner/connections")).data
    mine = {each["connection_id"] for each in living if each["connector_id"] == library.id}
    (other,) = mine - {library.work}
    for path in ("/v1/streams", "/v1/streams/books", "/v1/streams/books/records"):
        for instance in (other, "nobody"):
            error = refused(await seen.api.get(path, connection_id=instance), 404, "not_found")
            assert error["message"] == "no such instance of this connector"


async def test_an_instance_that_is_not_granted_looks_like_one_that_is_not_there(library: Connector) -> None:
    seen = await client(library, {"name": "books"})
    await library.put("books", book("zoe"), connector_instance_id=library.work)
    for path in ("/v1/streams", "/v1/streams/books/records", "/v1/streams/books/records/zoe"):
        hidden, missing = [await seen.api.get(path, connection_id=name) for name in (library.work, "nobody")]
        one, other = refused(hidden, 404, "not_found"), refused(missing, 404, "not_found")
        assert {**one, "request_id": ""} == {**other, "request_id": ""}


async def test_several_instances_of_one_key_must_be_told_apart(library: Connector) -> None:
    await library.put("books", book("ada", "Theirs"), connector_instance_id=library.work)
    connections = (await library.api.get("/v1/owner/connections")).data
    both = [each["connection_id"] for each in connections if each["connector_id"] == library.id]
    seen = await client(library, {"name": "books", "instance_ids": both})
    error = refused(await seen.one("books", "ada"), 409, "ambiguous_connection")
    assert {each["connection_id"] for each in error["available_connections"]} == set(both)
    assert (await seen.one("books", "ada", connection_id=library.work)).json["data"]["title"] == "Theirs"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"filter[title]": "Notes"}, "filter"),
        ({"filter[nothing]": "x"}, "filter"),
        ({"filter[pages][gte]": "1"}, "filter"),
        ({"filter[lent]": "true", "changes_since": "beginning"}, "filter"),
        ({"expand[]": "chapters"}, "expand"),
        ({"expand[]": "nothing"}, "expand"),
        ({"view": "short"}, "view"),
        ({"view": "nothing"}, "view"),
    ],
)
async def test_what_only_owners_may_ask_is_refused_before_anything_is_looked_at(
    library: Connector, query: dict[str, str], param: str
) -> None:
    seen = await client(library, {"name": "books", "fields": ["pages"]})
    refused(await seen.page("books", **query), 400, "invalid_request", param)
    refused(await seen.page("chapters", **query), 400, "invalid_request", param)


async def test_a_later_manifest_never_widens_a_grant(library: Connector) -> None:
    seen = await client(library, {"name": "books"})
    manifest = (await library.api.get(f"/v1/connectors/{library.id.replace('/', '%2F')}")).json
    manifest["streams"][0]["schema"]["properties"]["secret"] = {"type": "string"}
    manifest["streams"][0]["schema"]["required"] = ["id", "secret"]
    manifest["streams"][0]["consent_time_field"] = None
    await library.api.call("POST", "/v1/connectors", body=manifest)
    await library.put("books", book("new", secret="s3cr3t"))
    assert "secret" not in (await seen.one("books", "new")).json["data"]
    refused(await seen.page("books", fields="secret"), 403, "field_not_granted")


# -- owners' routes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/ingest/books"),
        ("POST", "/v1/blobs"),
        ("POST", "/v1/connectors"),
        ("GET", "/v1/connectors/x"),
        ("GET", "/v1/state/x"),
        ("PUT", "/v1/state/x"),
        ("DELETE", "/v1/streams/books/records/ada"),
        ("DELETE", "/v1/streams/books/records"),
        ("DELETE", "/v1/owner/connectors/x"),
        ("GET", "/v1/owner/connections"),
        ("DELETE", "/v1/owner/connections/x"),
        ("GET", "/v1/owner/spine"),
        ("GET", "/v1/owner/disclosures"),
        ("GET", "/v1/owner/grants"),
        ("POST", "/v1/owner/grants"),
    ],
)
async def test_owners_routes_refuse_clients(library: Connector, method: str, path: str) -> None:
    seen = await client(library, {"name": "books"})
    refused(await seen.api.call(method, path), 403, "insufficient_scope")
    assert await ids(library) == sorted(each["key"] for each in BOOKS)


# -- the life of a grant -------------------------------------------------------------------------------------------


async def test_a_revoked_grant_stops_at_once(library: Connector) -> None:
    made = (await grant(library, {"name": "books"})).json
    seen = holding(library, made["token"])
    assert (await seen.page("books")).status == 200
    path = f"/v1/owner/grants/{made['grant_id']}/revoke"
    assert (await library.api.call("POST", path)).json["status"] == "revoked"
    for ask in ("/v1/streams", "/v1/streams/books/records", "/v1/streams/books/records/ada"):
        refused(await seen.api.get(ask), 403, "grant_revoked")
    assert (await library.api.call("POST", path)).status == 200
    listed = (await library.api.get("/v1/owner/grants")).data
    assert [each["status"] for each in listed if each["grant_id"] == made["grant_id"]] == ["revoked"]


async def test_an_expired_grant_stops_and_says_why(library: Connector) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=2)
    seen = await client(library, {"name": "books"}, expires_at=moment.isoformat())
    while (answer := await seen.page("books")).status == 200:
        await asyncio.sleep(0.1)
    refused(answer, 403, "grant_expired")
    assert datetime.now(UTC) >= moment
    for ask in ("/v1/streams", "/v1/streams/books/records/ada", "/v1/blobs/blob_b3_" + 64 * "0"):
        refused(await seen.api.get(ask), 403, "grant_expired")


async def test_a_single_use_token_reads_and_pages_on(library: Connector) -> None:
    seen = await client(library, {"name": "books"}, access_mode="single_use")
    for _ in range(2):
        assert [len(page) for page in await seen.pages("books", limit=2)] == [2, 2, 1]
    assert (await seen.page("books", changes_since="beginning")).status == 200


async def test_the_token_is_told_once(library: Connector) -> None:
    made = (await grant(library, {"name": "books"})).json
    listed = await library.api.get("/v1/owner/grants")
    assert made["token"].encode() not in listed.body
    assert made["grant_id"] in [each["grant_id"] for each in listed.data]


async def test_another_owners_grant_cannot_be_revoked_or_seen(library: Connector, stranger: Api) -> None:
    made = (await grant(library, {"name": "books"})).json
    refused(await stranger.call("POST", f"/v1/owner/grants/{made['grant_id']}/revoke"), 404, "not_found")
    assert made["grant_id"] not in [each["grant_id"] for each in (await stranger.get("/v1/owner/grants")).data]
    seen = Api(library.api.session, library.api.base_url, made["token"])
    assert (await seen.get("/v1/streams/books/records")).status == 200


async def test_erasing_the_connector_leaves_a_grant_that_reads_nothing(library: Connector) -> None:
    seen = await client(library, {"name": "books"})
    path = f"/v1/owner/connectors/{library.id.replace('/', '%2F')}"
    assert (await library.api.delete(path)).status == 200
    answer = await seen.api.get("/v1/streams/books/records")
    assert (answer.status, answer.data) == (200, [])


@pytest.mark.parametrize(
    ("stream", "members"),
    [
        ({"name": "nothing"}, {}),
        ({"name": "books", "fields": ["nothing"]}, {}),
        ({"name": "books", "fields": ["id'; DROP TABLE grants; --"]}, {}),
        ({"name": "books", "fields": []}, {}),
        ({"name": "books", "fields": "id"}, {}),
        ({"name": "books", "instance_ids": ["nobody"]}, {}),
        ({"name": "books", "instance_ids": []}, {}),
        ({"name": "chapters", "time_constraint": {"since": "2026-01-01T00:00:00Z"}}, {}),
        ({"name": "books", "time_constraint": {}}, {}),
        ({"name": "books", "time_constraint": {"since": "yesterday"}}, {}),
        ({"name": "books", "time_constraint": {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, {}),
        ({"name": "books", "time_constraint": {"field": "lent", "since": "2026-01-01T00:00:00Z"}}, {}),
        ({"name": "books"}, {"expires_at": "2020-01-01T00:00:00Z"}),
        ({"name": "books"}, {"access_mode": "for ever"}),
        ({"name": "books"}, {"client_id": ""}),
        ({"name": "books"}, {"client_id": " "}),
        ({}, {}),
    ],
)
async def test_grants_that_cannot_be_are_refused(
    library: Connector, stream: dict[str, Any], members: dict[str, Any]
) -> None:
    before = (await library.api.get("/v1/owner/grants")).data
    assert (await grant(library, stream, **members)).status == 400
    assert (await library.api.get("/v1/owner/grants")).data == before


async def test_a_grant_on_a_connector_that_is_not_there_is_404(library: Connector) -> None:
    refused(await grant(Connector(library.api, "nobody"), {"name": "books"}), 404, "not_found")


# -- changes: hidden fields leave no trace -------------------------------------------------------------------------


async def session(seen: Connector, token: str) -> tuple[dict[str, Any], str]:
    """What changed (None: gone), by key, and the next token."""
    answer = await seen.page("books", changes_since=token, limit=100)
    assert answer.status == 200, answer.body
    return {each["id"]: each.get("data") for each in answer.data}, answer.json["next_changes_since"]


async def test_a_change_in_a_hidden_field_leaves_no_trace(library: Connector) -> None:
    seen = await client(library, {"name": "books", "fields": ["pages"]})
    _, token = await session(seen, "beginning")
    listed, counted = await seen.page("books", order="asc"), await seen.api.get("/v1/streams")
    await library.put("books", book("ada", "Notes", pages=65, price="1.00", emitted_at="2026-06-06T00:00:00Z"))
    assert (await session(seen, token))[0] == {}
    assert {each["id"]: each for each in (await seen.page("books")).data} == {each["id"]: each for each in listed.data}
    assert (await seen.api.get("/v1/streams")).data == counted.data
    assert (await library.one("books", "ada")).json["emitted_at"] == "2026-06-06T00:00:00Z"


async def test_a_granted_change_followed_by_a_hidden_one_still_comes(library: Connector) -> None:
    seen = await client(library, {"name": "books", "fields": ["pages"]})
    _, token = await session(seen, "beginning")
    await library.put("books", book("ada", "Notes", pages=66, emitted_at="2026-06-06T00:00:00Z"))
    await library.put("books", book("ada", "Notes", pages=66, lent=False, emitted_at="2026-07-07T00:00:00Z"))
    changed, later = await session(seen, token)
    assert changed == {"ada": {"id": "ada", "title": "Notes", "pages": 66}}
    assert (await seen.one("books", "ada")).json["emitted_at"] == "2026-06-06T00:00:00Z"
    assert (await session(seen, later))[0] == {}


async def test_tombstones_come_for_what_was_seen_only(library: Connector) -> None:
    seen = await client(library, {"name": "books", "time_constraint": {"since": "1990-01-01T00:00:00Z"}})
    _, token = await session(seen, "beginning")
    await library.put("books", deletion("ada"), deletion("bob"))
    await library.api.delete("/v1/streams/books/records/cyd", connector_id=library.id)
    await library.api.delete("/v1/streams/books/records/dee", connector_id=library.id)
    assert (await session(seen, token))[0] == {"bob": None, "cyd": None}


async def test_a_record_that_leaves_the_window_is_gone_and_one_that_enters_it_is_new(library: Connector) -> None:
    seen = await client(library, {"name": "books", "time_constraint": {"until": "1950-01-01T00:00:00Z"}})
    _, token = await session(seen, "beginning")
    await library.put(
        "books",
        book("ada", "Notes", printed_at="1999-01-01T00:00:00Z"),
        book("cyd", "Notes", printed_at="1901-01-01T00:00:00Z"),
    )
    changed, _ = await session(seen, token)
    assert changed["ada"] is None
    assert changed["cyd"]["printed_at"] == "1901-01-01T00:00:00Z"


async def test_another_consent_time_field_tells_nothing_of_the_hidden_and_loses_nothing(library: Connector) -> None:
    seen = await client(library, {"name": "books", "time_constraint": {"since": "1990-01-01T00:00:00Z"}})
    _, token = await session(seen, "beginning")
    manifest = (await library.api.get(f"/v1/connectors/{library.id.replace('/', '%2F')}")).json
    manifest["streams"][0]["consent_time_field"] = "title"
    assert (await library.api.call("POST", "/v1/connectors", body=manifest)).status == 200
    await library.put("books", deletion("dee"), book("ada", "2026-01-01", printed_at="1843-09-01T00:00:00Z"))
    await library.put("books", book("cyd", "New", printed_at="1990-01-01T00:00:01Z"))
    changed, later = await session(seen, token)
    assert {key: data and data["title"] for key, data in changed.items()} == {"cyd": "New"}
    await library.put("books", deletion("cyd"))
    for old in (token, later):
        refused(await seen.page("books", changes_since=old), 410, "cursor_expired")
    assert (await session(seen, "beginning"))[0].keys() == {"bob"}


async def test_tokens_and_cursors_belong_to_their_grant(library: Connector) -> None:
    one, other = [await client(library, {"name": "books"}) for _ in range(2)]
    _, token = await session(one, "beginning")
    cursor = (await one.page("books", limit=1)).json["next_cursor"]
    for thief in (other, library):
        refused(await thief.page("books", changes_since=token), 400, "invalid_cursor")
        refused(await thief.page("books", cursor=cursor), 400, "invalid_cursor")


# -- blobs ---------------------------------------------------------------------------------------------------------


async def test_a_client_fetches_the_blob_of_a_record_that_it_sees(library: Connector) -> None:
    blob_id = await covered(library, "x", b"cover")
    seen = await client(library, {"name": "books", "fields": ["cover"]})
    url = (await seen.one("books", "x")).json["data"]["cover"]["fetch_url"]
    answer = await seen.api.get(url)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"cover", "image/png")
    assert url == f"/v1/blobs/{blob_id}"


async def test_a_blob_that_the_grant_hides_looks_like_one_that_is_not_there(library: Connector) -> None:
    blob_id = await covered(library, "x", b"cover", printed_at="1999-01-01T00:00:00Z")
    tag = (await library.api.get(f"/v1/blobs/{blob_id}")).headers["ETag"]
    unknown = "blob_b3_" + 64 * "0"
    hiding: list[dict[str, Any]] = [
        {"name": "books", "fields": ["title"]},
        {"name": "books", "resources": ["ada"]},
        {"name": "books", "time_constraint": {"until": "1999-01-01T00:00:00Z"}},
        {"name": "shelves"},
    ]
    for bounds in hiding:
        seen = await client(library, bounds)
        hidden, missing = [await seen.api.get(f"/v1/blobs/{name}") for name in (blob_id, unknown)]
        one, other = refused(hidden, 404, "blob_not_found"), refused(missing, 404, "blob_not_found")
        assert {**one, "request_id": ""} == {**other, "request_id": ""}
        assert hidden.headers.keys() == missing.headers.keys()
        for headers in (
            {"If-None-Match": tag},
            {"If-None-Match": "*"},
            {"If-Match": '"other"'},
            {"Range": "bytes=99-"},
        ):
            for method in ("GET", "HEAD"):
                answer = await seen.api.call(method, f"/v1/blobs/{blob_id}", headers=headers)
                assert (answer.status, answer.headers.keys()) == (404, hidden.headers.keys())
        assert b"fetch_url" not in (await seen.page(bounds["name"])).body
    seen = await client(library, {"name": "books", "time_constraint": {"since": "1999-01-01T00:00:00Z"}})
    assert (await seen.api.get(f"/v1/blobs/{blob_id}")).body == b"cover"


async def test_a_file_name_from_a_hidden_field_is_not_told(library: Connector) -> None:
    blob_id = await covered(library, "x", b"a cover with a name")
    reference = {"blob_id": blob_id, "mime_type": "image/png"}
    await library.put("books", line("x", title=None, name="secret.png", cover=reference))
    owners = (await library.api.get(f"/v1/blobs/{blob_id}")).headers["Content-Disposition"]
    assert "secret.png" in owners
    seen = await client(library, {"name": "books", "fields": ["cover"]})
    assert "secret" not in (await seen.api.get(f"/v1/blobs/{blob_id}")).headers["Content-Disposition"]
    await library.put("books", line("x", title="Granted", name="secret.png", cover=reference))
    assert "Granted" in (await seen.api.get(f"/v1/blobs/{blob_id}")).headers["Content-Disposition"]


async def test_a_claimed_blob_is_the_owners_only(library: Connector) -> None:
    query = {"connector_id": library.id, "stream": "books", "record_key": "later"}
    blob_id = (await library.api.call("POST", "/v1/blobs", query, body=b"early")).json["blob_id"]
    seen = await client(library, {"name": "books"})
    refused(await seen.api.get(f"/v1/blobs/{blob_id}"), 404, "blob_not_found")
    assert (await library.api.get(f"/v1/blobs/{blob_id}")).status == 200


async def test_a_link_beyond_the_1024th_authorizes_too(library: Connector) -> None:
    blob_id = await covered(library, "a0000", b"popular")
    ref = {"blob_id": blob_id, "mime_type": "image/png"}
    await library.put("books", *(book(f"a{n:04}", cover=ref) for n in range(1, 1200)))
    seen = await client(library, {"name": "books", "resources": ["a1199"]})
    assert (await seen.api.get(f"/v1/blobs/{blob_id}")).body == b"popular"


async def test_relations_and_lines_of_others_are_not_needed(library: Connector) -> None:
    seen = await client(library, {"name": "chapters"})
    await library.put("chapters", line("new", book="ada"))
    assert "new" in await ids(seen, "chapters")
