"""`changes_since`: sessions, tokens, tombstones."""

import asyncio
from typing import Any

import pytest

from tests.conformance.http.api import Answer, Api, Connector, deletion, note, refused

ELSEWHEN = "2026-02-02T00:00:00Z"


async def session(connector: Connector, token: str, **query: object) -> tuple[list[dict[str, Any]], str]:
    """Every change of a session, and the token that it ends with."""
    answer = await connector.page("notes", changes_since=token, **query)
    found = list(answer.data)
    while answer.json["has_more"]:
        assert "next_changes_since" not in answer.json
        answer = await connector.page("notes", cursor=answer.json["next_cursor"], **query)
        assert answer.status == 200, answer.body
        found += answer.data
    assert "next_cursor" not in answer.json
    return found, answer.json["next_changes_since"]


async def token_of(connector: Connector) -> str:
    return (await session(connector, "beginning"))[1]


def shown(found: list[dict[str, Any]]) -> dict[str, str | None]:
    """The text of each record by its key; None for a tombstone."""
    return {each["id"]: None if each.get("deleted") else each["data"].get("text") for each in found}


async def test_beginning_gives_all_that_is_there(connector: Connector) -> None:
    await connector.put("notes", note("a", text="1"), note("b", text="2"), note("c"))
    await connector.put("notes", deletion("c"))
    found, token = await session(connector, "beginning")
    assert shown(found) == {"a": "1", "b": "2"}
    assert (await session(connector, token))[0] == []


async def test_only_what_changed_since_the_token_comes(connector: Connector) -> None:
    await connector.put("notes", note("a", text="1"), note("b", text="2"))
    token = await token_of(connector)
    await connector.put("notes", note("b", text="3"), note("c", text="4"))
    found, later = await session(connector, token)
    assert shown(found) == {"b": "3", "c": "4"}
    assert found[0].keys() >= {"object", "id", "stream", "data", "emitted_at"}
    assert (await session(connector, later))[0] == []
    assert shown((await session(connector, token))[0]) == {"b": "3", "c": "4"}


async def test_a_deletion_is_a_tombstone(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    token = await token_of(connector)
    await connector.put("notes", {**deletion("a"), "data": {"deleted_at": ELSEWHEN}})
    (grave,), _ = await session(connector, token)
    assert {**grave, "connector_id": None, "connector_instance_id": None} == {
        "object": "record",
        "id": "a",
        "stream": "notes",
        "deleted": True,
        "deleted_at": ELSEWHEN,
        "emitted_at": deletion("a")["emitted_at"],
        "connector_id": None,
        "connector_instance_id": None,
    }


async def test_a_deletion_that_is_repeated_is_one_tombstone(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    token = await token_of(connector)
    await connector.put("notes", deletion("a", deleted_at=ELSEWHEN), deletion("a"), deletion("nothing"))
    first = await session(connector, token)
    assert [(each["id"], each["deleted_at"]) for each in first[0]] == [("a", ELSEWHEN)]
    await connector.put("notes", deletion("a"))
    assert (await session(connector, first[1]))[0] == []


@pytest.mark.parametrize("key", ["a", "nothing"])
async def test_an_erasure_that_is_repeated_is_one_change(connector: Connector, key: str) -> None:
    await connector.put("notes", note("a"), note("b"))
    token = await token_of(connector)
    await erase(connector, f"/{key}")
    found, later = await session(connector, token)
    assert shown(found) == ({"a": None} if key == "a" else {})
    await erase(connector, f"/{key}")
    assert (await session(connector, later))[0] == []


async def test_change_and_back_is_no_change(connector: Connector) -> None:
    await connector.put("notes", note("a", text="1"), note("b", text="1"))
    token = await token_of(connector)
    await connector.put("notes", note("a", text="2"), deletion("b"))
    await connector.put("notes", note("a", text="1"), note("b", text="1"))
    assert (await session(connector, token))[0] == []


async def test_created_and_deleted_in_between_leaves_no_trace(connector: Connector) -> None:
    token = await token_of(connector)
    await connector.put("notes", note("a"))
    await connector.put("notes", deletion("a"))
    assert (await session(connector, token))[0] == []


async def test_an_unchanged_record_sent_again_is_no_change(connector: Connector) -> None:
    await connector.put("notes", note("a", text="1"))
    token = await token_of(connector)
    await connector.put("notes", {**note("a", text="1"), "emitted_at": ELSEWHEN}, deletion("nothing"))
    assert (await session(connector, token))[0] == []


async def test_pages_of_a_session_see_the_horizon_of_the_first(connector: Connector) -> None:
    await connector.put("notes", *(note(f"k{n}", text="old") for n in range(6)))
    first = await connector.page("notes", changes_since="beginning", limit=2)
    seen = [each["id"] for each in first.data]
    rest = sorted({f"k{n}" for n in range(6)} - set(seen))
    await connector.put("notes", note("new", text="late"), note(rest[0], text="late"), deletion(rest[1]))
    answer, found = first, list(first.data)
    while answer.json["has_more"]:
        answer = await connector.page("notes", cursor=answer.json["next_cursor"], limit=2)
        found += answer.data
    assert all(text == "old" for text in shown(found).values())
    assert set(shown(found)) == set(seen) | set(rest[2:])
    later = shown((await session(connector, answer.json["next_changes_since"]))[0])
    assert later.items() >= {"new": "late", rest[0]: "late"}.items()
    assert set(seen).isdisjoint(later.keys() - set(rest))


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_a_session_in_pages_gives_every_change_once(connector: Connector, limit: int) -> None:
    await connector.put("notes", *(note(f"k{n}") for n in range(5)))
    token = await token_of(connector)
    await connector.put("notes", *(note(f"k{n}", text="new") for n in (0, 2)), deletion("k3"), note("k9"))
    found, _ = await session(connector, token, limit=limit)
    assert [each["id"] for each in found] == ["k0", "k2", "k3", "k9"]


async def test_the_last_page_is_exact(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    answer = await connector.page("notes", changes_since="beginning", limit=2)
    assert (len(answer.data), answer.json["has_more"]) == (2, False)


async def test_a_limit_may_change_within_a_session(connector: Connector) -> None:
    await connector.put("notes", *(note(f"k{n}") for n in range(7)))
    answer = await connector.page("notes", changes_since="beginning", limit=2)
    found = list(answer.data)
    for limit in (1, 100):
        answer = await connector.page("notes", cursor=answer.json["next_cursor"], limit=limit)
        found += answer.data
    assert len(shown(found)) == len(found) == 7
    assert "next_changes_since" in answer.json


async def test_a_full_listing_ends_with_a_token(connector: Connector) -> None:
    await connector.put("notes", *(note(f"k{n}", text="1") for n in range(5)))
    first = await connector.page("notes", limit=3, order="asc")
    assert "next_changes_since" not in first.json
    await connector.put("notes", note("k0", text="2"))
    last = await connector.page("notes", limit=3, order="asc", cursor=first.json["next_cursor"])
    found, _ = await session(connector, last.json["next_changes_since"])
    assert shown(found) == {"k0": "2"}
    filtered = await connector.page("notes", **{"filter[text]": "1"})
    assert "next_changes_since" not in filtered.json


async def test_changes_may_be_cut_to_fields(connector: Connector) -> None:
    await connector.put("notes", note("a", text="1", at="2026-01-01T00:00:00Z"))
    token = await token_of(connector)
    await connector.put("notes", note("a", text="2", at="2026-01-01T00:00:00Z"))
    found, _ = await session(connector, token, fields="text")
    assert [each["data"] for each in found] == [{"id": "a", "text": "2"}]


async def test_no_change_is_missed_while_others_write(connector: Connector) -> None:
    known: dict[str, str | None] = {}
    token = "beginning"

    async def write() -> None:
        for round_ in range(20):
            lines = [note(f"k{n}", text=str(round_)) for n in range(round_ % 7, 20, 3)]
            await connector.put("notes", *lines, deletion(f"k{round_}"))

    async def follow() -> None:
        nonlocal token
        found, token = await session(connector, token, limit=3)
        for key, text in shown(found).items():
            known[key] = text

    writing = asyncio.create_task(write())
    while not writing.done():
        await follow()
    await writing
    await follow()
    there = {each["id"]: each["data"]["text"] for each in (await connector.page("notes", limit=100)).data}
    assert {key: text for key, text in known.items() if text is not None} == there


# -- erasures ------------------------------------------------------------------------------------------------------


async def erase(connector: Connector, path: str) -> Answer:
    answer = await connector.api.delete(f"/v1/streams/notes/records{path}", connector_id=connector.id)
    assert answer.status == 204
    return answer


async def test_an_erased_record_is_a_tombstone_for_who_knew_it(connector: Connector) -> None:
    await connector.put("notes", note("a", text="1"), note("b"))
    await connector.put("notes", note("a", text="2"))
    token = await token_of(connector)
    await connector.put("notes", note("new"))
    await erase(connector, "/a")
    await erase(connector, "/new")
    assert shown((await session(connector, token))[0]) == {"a": None}


async def test_erasing_a_stream_never_sets_versions_back(connector: Connector) -> None:
    await connector.put("notes", *(note(f"k{n}") for n in range(5)))
    token = await token_of(connector)
    await erase(connector, "")
    await connector.put("notes", note("new", text="1"), note("k0", text="1"))
    found, later = await session(connector, token)
    assert shown(found) == {"new": "1", "k0": "1", "k1": None, "k2": None, "k3": None, "k4": None}
    assert (await session(connector, later))[0] == []


async def test_a_token_from_before_a_connection_was_erased_is_too_old(connector: Connector) -> None:
    await connector.put("notes", note("a"))
    await connector.put("notes", note("b"), connector_instance_id=connector.work)
    token = await token_of(connector)
    assert (await connector.api.delete(f"/v1/owner/connections/{connector.work}")).status == 200
    refused(await connector.page("notes", changes_since=token), 410, "cursor_expired")
    assert [each["id"] for each in (await session(connector, "beginning"))[0]] == ["a"]


# -- tokens --------------------------------------------------------------------------------------------------------


async def test_cursors_and_change_tokens_are_not_interchangeable(connector: Connector) -> None:
    await connector.put("notes", note("a"), note("b"))
    listed = await connector.page("notes", limit=1)
    changed = await connector.page("notes", changes_since="beginning", limit=1)
    token = await token_of(connector)
    for cursor in (listed.json["next_cursor"], changed.json["next_cursor"]):
        refused(await connector.page("notes", changes_since=cursor), 400, "invalid_cursor", "changes_since")
    refused(await connector.page("notes", cursor=token), 400, "invalid_cursor", "cursor")


@pytest.mark.parametrize("token", ["x", "2026-01-01T00:00:00Z", "bm9uc2Vuc2U", "Beginning", "x" * 20_000])
async def test_a_token_that_was_not_made_here_is_refused(connector: Connector, token: str) -> None:
    refused(await connector.page("notes", changes_since=token), 400, "invalid_cursor", "changes_since")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"order": "asc"}, "order"),
        ({"filter[text]": "1"}, "filter[text]"),
        ({"expand[]": "x"}, "expand"),
        ({"sort": "at"}, "sort"),
        ({"count": "exact"}, "count"),
        ({"cursor": "x"}, "changes_since"),
    ],
)
async def test_what_does_not_go_with_changes_is_refused(
    connector: Connector, query: dict[str, str], param: str
) -> None:
    answer = await connector.page("notes", changes_since="beginning", **query)
    refused(answer, 400, "invalid_request", param)


async def test_tokens_belong_to_their_owner_and_stream(connector: Connector, stranger: Api) -> None:
    await connector.put("notes", note("a"))
    token = await token_of(connector)
    refused(await connector.page("log", changes_since=token), 400, "invalid_cursor", "changes_since")
    other = Connector(stranger, connector.id)
    await other.register()
    refused(await other.page("notes", changes_since=token), 400, "invalid_cursor", "changes_since")
