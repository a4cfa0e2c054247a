"""What an owner asks of a list: projections, filters, relations."""

from typing import Any

import pytest

from tests.conformance.http.api import Api, Connector, refused
from tests.conformance.http.library import book, filled, line


@pytest.fixture
async def library(api: Api) -> Connector:
    return await filled(api)


async def keys(library: Connector, **query: object) -> list[str]:
    answer = await library.page("books", **query)
    assert answer.status == 200, answer.body
    return sorted(each["id"] for each in answer.data)


# -- projections ---------------------------------------------------------------------------------------------------


async def test_fields_narrow_and_required_ones_always_come(library: Connector) -> None:
    first = (await library.page("books", order="asc", fields="pages")).data[0]
    assert first["data"] == {"id": "ada", "title": "Notes", "pages": 65}
    assert (await library.one("books", "ada", fields="lent,pages")).json["data"] == {
        "id": "ada",
        "title": "Notes",
        "pages": 65,
        "lent": True,
    }


async def test_a_field_that_a_record_lacks_is_left_out(library: Connector) -> None:
    assert (await library.one("books", "dee", fields="lent")).json["data"].keys() == {"id", "title"}


async def test_a_view_is_its_fields(library: Connector) -> None:
    assert (await library.page("books", order="asc", view="short")).data[0]["data"] == {
        "id": "ada",
        "title": "Notes",
        "pages": 65,
    }


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ({"fields": "nothing"}, "unknown_field", "fields"),
        ({"fields": "id,,title"}, "invalid_request", "fields"),
        ({"fields": "cover.id"}, "unknown_field", "fields"),
        ({"view": "nothing"}, "invalid_request", "view"),
        ({"view": "short", "fields": "id"}, "invalid_request", "view"),
    ],
)
async def test_projections_that_cannot_be_are_refused(
    library: Connector, query: dict[str, str], code: str, param: str
) -> None:
    refused(await library.page("books", **query), 400, code, param)
    refused(await library.one("books", "ada", **query), 400, code, param)


async def test_fields_and_view_are_given_once(library: Connector) -> None:
    for name in ("fields", "view"):
        pairs = [("connector_id", library.id), (name, "id"), (name, "title")]
        refused(await library.api.call("GET", "/v1/streams/books/records", pairs), 400, "invalid_request", name)


# -- exact filters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("title", "Notes", ["ada", "cyd"]),
        ("title", "notes", []),
        ("title", "true", ["eve"]),
        ("title", '100% [true] "quoted" \'; DROP TABLE records; --', ["dee"]),
        ("title", "%", []),
        ("title", "null", []),
        ("title", "", []),
        ("pages", "65", ["ada"]),
        ("pages", "65.0", ["ada"]),
        ("pages", "65.5", ["eve"]),
        ("pages", str(2**60), ["dee"]),
        ("pages", str(2**60 + 1), []),
        ("pages", "many", []),
        ("lent", "true", ["ada"]),
        ("lent", "false", ["bob"]),
        ("lent", "1", []),
        ("price", "10.00", ["bob"]),
        ("price", "10", []),
        ("id", "ada", ["ada"]),
    ],
)
async def test_an_exact_filter_finds_equal_values(
    library: Connector, field: str, value: str, expected: list[str]
) -> None:
    assert await keys(library, **{f"filter[{field}]": value}) == expected


async def test_null_and_absent_fields_satisfy_no_filter(library: Connector) -> None:
    assert await keys(library, **{"filter[pages][gte]": "-1"}) == ["ada", "cyd", "dee", "eve"]
    assert await keys(library, **{"filter[printed_at][lte]": "9999-01-01T00:00:00Z"}) == ["ada", "bob", "cyd"]


async def test_filters_are_all_to_be_satisfied(library: Connector) -> None:
    assert await keys(library, **{"filter[title]": "Notes", "filter[pages][gt]": "65"}) == ["cyd"]


# -- range filters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"filter[pages][gte]": "65"}, ["ada", "cyd", "dee", "eve"]),
        ({"filter[pages][gt]": "65"}, ["cyd", "dee", "eve"]),
        ({"filter[pages][gt]": "65", "filter[pages][lt]": "300"}, ["eve"]),
        ({"filter[pages][lte]": "300"}, ["ada", "cyd", "eve"]),
        ({"filter[pages][gt]": str(2**60 - 1)}, ["dee"]),
        ({"filter[price][gte]": "10"}, ["bob", "cyd"]),
        ({"filter[price][lt]": "10.0"}, ["ada"]),
        ({"filter[printed_at][gte]": "1990-01-01T00:00:00Z"}, ["bob", "cyd"]),
        ({"filter[printed_at][gt]": "1990-01-01T01:00:00+01:00"}, ["cyd"]),
        ({"filter[printed_at][lt]": "1990-01-01"}, ["ada"]),
    ],
)
async def test_a_range_compares_numbers_amounts_and_moments_as_such(
    library: Connector, query: dict[str, str], expected: list[str]
) -> None:
    assert await keys(library, **query) == expected


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("filter[nothing]", "x", "unknown_field"),
        ("filter[nothing][gte]", "x", "unknown_field"),
        ("filter[cover.id]", "x", "unknown_field"),
        ("filter[]", "x", "unknown_field"),
        ("filter[tags]", "x", "invalid_request"),
        ("filter[cover]", "x", "invalid_request"),
        ("filter[title][gte]", "x", "invalid_request"),
        ("filter[price][gt]", "1", "invalid_request"),
        ("filter[pages][gte]", "many", "invalid_request"),
        ("filter[pages][ne]", "1", "invalid_request"),
        ("filter[pages][gte][lt]", "1", "unknown_field"),
        ("filter", "x", "invalid_request"),
        ("filter.pages", "1", "invalid_request"),
        ("pages_gte", "1", "invalid_request"),
        ("since", "2026-01-01", "invalid_request"),
        ("sort", "title", "invalid_request"),
        ("expand", "chapters", "invalid_request"),
    ],
)
async def test_filters_that_cannot_be_are_refused(library: Connector, name: str, value: str, code: str) -> None:
    refused(await library.page("books", **{name: value}), 400, code)


async def test_a_filter_is_given_once(library: Connector) -> None:
    pairs = [("connector_id", library.id), ("filter[pages]", "1"), ("filter[pages]", "2")]
    refused(await library.api.call("GET", "/v1/streams/books/records", pairs), 400, "invalid_request", "filter[pages]")


async def test_a_filter_that_matches_few_among_many_returns_them_all(library: Connector) -> None:
    await library.put("books", *(book(f"x{n:04}", "rare" if n % 100 == 7 else "common") for n in range(3000)))
    pages = await library.pages("books", **{"filter[title]": "rare", "limit": 10, "order": "asc"})
    assert [len(page) for page in pages] == [10, 10, 10]
    assert [key for page in pages for key in page] == [f"x{n:04}" for n in range(7, 3000, 100)]


async def test_a_cursor_is_bound_to_its_filters(library: Connector) -> None:
    answer = await library.page("books", limit=1, **{"filter[title]": "Notes"})
    cursor = answer.json["next_cursor"]
    assert (await library.page("books", limit=1, cursor=cursor, **{"filter[title]": "Notes"})).status == 200
    for other in ({}, {"filter[title]": "true"}, {"filter[title]": "Notes", "filter[lent]": "true"}):
        refused(await library.page("books", limit=1, cursor=cursor, **other), 400, "invalid_cursor", "cursor")


# -- relations -----------------------------------------------------------------------------------------------------


async def expanded(library: Connector, key: str, **query: object) -> dict[str, Any]:
    listed = await library.page("books", **query)
    assert listed.status == 200, listed.body
    single = await library.one("books", key, **query)
    assert single.status == 200, single.body
    found: dict[str, Any] = single.json["expanded"]
    assert [each["expanded"] for each in listed.data if each["id"] == key] == [found]
    return found


async def test_has_many_is_a_list_up_to_its_limit(library: Connector) -> None:
    chapters = (await expanded(library, "ada", **{"expand[]": "chapters"}))["chapters"]
    assert (chapters["object"], chapters["has_more"]) == ("list", True)
    assert [each["id"] for each in chapters["data"]] == ["ada-0", "ada-1"]
    assert chapters["data"][0]["data"] == {"id": "ada-0", "book": "ada", "text": "…"}
    query = {"expand[]": "chapters", "expand_limit[chapters]": 3}
    chapters = (await expanded(library, "ada", **query))["chapters"]
    assert ([each["id"] for each in chapters["data"]], chapters["has_more"]) == (["ada-0", "ada-1", "ada-2"], False)


async def test_related_records_that_are_left_out_for_their_length_are_told_of(library: Connector) -> None:
    await library.put("books", book("big"))
    for n in range(3):
        await library.put("chapters", line(f"big-{n}", book="big", text="x" * (5 << 20)))
    query = {"expand[]": "chapters", "expand_limit[chapters]": 3}
    chapters = (await library.one("books", "big", **query)).json["expanded"]["chapters"]
    assert [each["id"] for each in chapters["data"]] == ["big-0", "big-1"]
    assert chapters["has_more"] is True


async def test_has_many_of_none_is_an_empty_list(library: Connector) -> None:
    chapters = (await expanded(library, "cyd", **{"expand[]": "chapters"}))["chapters"]
    assert chapters == {"object": "list", "has_more": False, "data": []}


async def test_has_one_is_the_record_or_null(library: Connector) -> None:
    assert (await expanded(library, "ada", **{"expand[]": "on"}))["on"]["data"]["room"] == "hall"
    assert (await expanded(library, "cyd", **{"expand[]": "on"}))["on"] is None
    assert (await expanded(library, "dee", **{"expand[]": "on"}))["on"] is None


async def test_several_relations_come_together(library: Connector) -> None:
    pairs = [("connector_id", library.id), ("expand[]", "on"), ("expand[]", "chapters")]
    answer = await library.api.call("GET", "/v1/streams/books/records/ada", pairs)
    assert answer.json["expanded"].keys() == {"on", "chapters"}


async def test_relations_of_other_instances_stay_apart(library: Connector) -> None:
    await library.put("books", book("ada"), connector_instance_id=library.work)
    await library.put("chapters", line("z", book="ada"), connector_instance_id=library.work)
    answer = await library.one("books", "ada", connection_id=library.work, **{"expand[]": "chapters"})
    assert [each["id"] for each in answer.json["expanded"]["chapters"]["data"]] == ["z"]


@pytest.mark.parametrize(
    "query",
    [
        {"expand[]": "nothing"},
        {"expand[]": "hidden"},
        {"expand[]": "chapters.book"},
        {"expand[]": "chapters", "expand_limit[chapters]": 0},
        {"expand[]": "chapters", "expand_limit[chapters]": 4},
        {"expand[]": "chapters", "expand_limit[chapters]": "many"},
        {"expand[]": "chapters", "expand_limit[on]": 1},
        {"expand[]": "on", "expand_limit[on]": 1},
        {"expand_limit[chapters]": 1},
    ],
)
async def test_relations_that_cannot_be_expanded_are_refused(library: Connector, query: dict[str, object]) -> None:
    refused(await library.page("books", **query), 400, "invalid_expand", "expand")
    refused(await library.one("books", "ada", **query), 400, "invalid_expand", "expand")


# -- several connectors --------------------------------------------------------------------------------------------


async def test_without_a_connector_records_of_all_come_in_one_order(api: Api, library: Connector) -> None:
    second = await filled(api)
    mine, found, query = {library.id, second.id}, [], {"order": "asc", "limit": 100}
    while True:
        answer = await api.get("/v1/streams/books/records", **query)
        found += [(each["id"], each["connector_id"]) for each in answer.data if each["connector_id"] in mine]
        if not answer.json["has_more"]:
            break
        query["cursor"] = answer.json["next_cursor"]
    assert [key for key, _ in found] == ["ada", "ada", "cyd", "cyd", "bob", "bob", "dee", "dee", "eve", "eve"]
    assert {connector for _, connector in found} == mine
