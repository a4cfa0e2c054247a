"""Cursors and change tokens: no bit of one may differ, and each opens the list that it was made for and no other."""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from string import ascii_letters, digits

import pytest

from tests.conformance.http.api import Api, Connector, fresh_name, note, refused
from tests.conformance.http.granting import client

ALPHABET = ascii_letters + digits + "-_"
AT_ONCE = 50
SAMPLE = 40
"""Of the forgeries of each sort, where sizes are not full; all of them are tried on the seals themselves."""
FULL = {"name": "notes"}


@dataclass(frozen=True)
class Presented:
    """A token, the parameter that it goes into, and the rest of its query."""

    token: str
    param: str
    query: dict[str, object]

    async def to(self, connector: Connector, token: str | None = None, stream: str = "notes", **other: object) -> None:
        """Present it, or a forgery of it: it must be refused."""
        query = {**self.query, self.param: token or self.token, **other}
        refused(await connector.page(stream, **query), 400, "invalid_cursor", self.param)


async def page_cursor(connector: Connector) -> Presented:
    answer = await connector.page("notes", limit=1, order="asc")
    return Presented(answer.json["next_cursor"], "cursor", {"limit": 1, "order": "asc"})


async def session_cursor(connector: Connector) -> Presented:
    answer = await connector.page("notes", limit=1, changes_since="beginning")
    return Presented(answer.json["next_cursor"], "cursor", {"limit": 1})


async def change_token(connector: Connector) -> Presented:
    answer = await connector.page("notes", changes_since="beginning")
    return Presented(answer.json["next_changes_since"], "changes_since", {})


Make = Callable[[Connector], Awaitable[Presented]]
Choose = Callable[[list[str]], list[str]]
every_kind = pytest.mark.parametrize("make", [page_cursor, session_cursor, change_token])


@pytest.fixture
async def filled(connector: Connector) -> Connector:
    for stream in ("notes", "log"):
        await connector.put(stream, note("a"), note("b"), note("c"))
    return connector


async def all_refused(connector: Connector, presented: Presented, forgeries: Iterable[str]) -> None:
    await some_refused(connector, presented, forgeries, lambda waiting: waiting)


@pytest.fixture
def some(rng: random.Random, sized: Callable[[int, int], int]) -> Choose:
    """A sample, or all."""
    return lambda waiting: rng.sample(waiting, min(len(waiting), sized(SAMPLE, len(waiting))))


async def some_refused(connector: Connector, presented: Presented, forgeries: Iterable[str], some: Choose) -> None:
    waiting = some(sorted(set(forgeries) - {presented.token, ""}))
    assert waiting
    for start in range(0, len(waiting), AT_ONCE):
        await asyncio.gather(*(presented.to(connector, forged) for forged in waiting[start : start + AT_ONCE]))


def flips(token: str) -> Iterable[str]:
    """The token with one bit changed: of the bytes where it is base64, those of its last character that are spare
    included; of its text elsewhere.
    """
    for place, character in enumerate(token):
        for bit in range(6):
            if character in ALPHABET:
                changed = ALPHABET[ALPHABET.index(character) ^ 1 << bit]
            else:
                changed = chr(ord(character) ^ 1 << bit)
            yield token[:place] + changed + token[place + 1 :]


@every_kind
@pytest.mark.long
async def test_no_bit_of_a_token_may_differ(filled: Connector, make: Make, some: Choose) -> None:
    presented = await make(filled)
    await some_refused(filled, presented, flips(presented.token), some)


@every_kind
@pytest.mark.long
async def test_no_part_of_a_token_is_one(filled: Connector, make: Make, some: Choose) -> None:
    token = (presented := await make(filled)).token
    await some_refused(filled, presented, [token[:n] for n in range(len(token))], some)
    await some_refused(filled, presented, [token[n:] for n in range(len(token))], some)


@every_kind
@pytest.mark.long
async def test_two_tokens_cannot_be_spliced(filled: Connector, make: Make, some: Choose) -> None:
    one, other = await make(filled), await make(filled)
    splices = [one.token[:n] + other.token[n:] for n in range(1, len(one.token))]
    await some_refused(filled, one, set(splices) - {other.token}, some)
    await all_refused(filled, one, [one.token + other.token, one.token * 2, one.token + "A", "A" + one.token])


@every_kind
async def test_a_token_has_one_spelling(filled: Connector, make: Make) -> None:
    token = (presented := await make(filled)).token
    others = [token + "=", token + " ", token + "\n", token + "\0", token.swapcase()]
    standard = base64.b64encode(base64.urlsafe_b64decode(token + "==")).decode() if set(token) <= set(ALPHABET) else ""
    await all_refused(filled, presented, [*others, standard])


@every_kind
async def test_a_token_is_of_its_kind_only(filled: Connector, make: Make) -> None:
    token = (await make(filled)).token
    for kind in {page_cursor, session_cursor, change_token} - {make}:
        await (await kind(filled)).to(filled, token)


@every_kind
async def test_a_token_is_of_its_owner_only(filled: Connector, stranger: Api, make: Make) -> None:
    presented = await make(filled)
    other = Connector(stranger, filled.id)
    await other.register()
    await other.put("notes", note("a"), note("b"))
    await presented.to(other)


@every_kind
@pytest.mark.ours
async def test_a_token_is_of_its_grant_only(filled: Connector, make: Make) -> None:
    one, other = await client(filled, FULL), await client(filled, FULL)
    presented = await make(one)
    await presented.to(other)
    await presented.to(filled)
    await (await make(filled)).to(one)


@every_kind
async def test_a_token_is_of_its_stream_connector_and_instance_only(filled: Connector, make: Make) -> None:
    presented = await make(filled)
    await presented.to(filled, stream="log")
    instance = (await filled.one("notes", "a")).json["connector_instance_id"]
    await presented.to(filled, connection_id=instance)
    elsewhere = Connector(filled.api, fresh_name())
    await elsewhere.register()
    await presented.to(elsewhere)
    query = {**presented.query, presented.param: presented.token}
    everywhere = await filled.api.get("/v1/streams/notes/records", **query)
    refused(everywhere, 400, "invalid_cursor", presented.param)


@pytest.mark.parametrize("make", [page_cursor, session_cursor])
@pytest.mark.parametrize(
    "other", [{"order": "desc"}, {"filter[text]": "1"}, {"filter[at][gte]": "2026-01-01"}, {"filter[id]": "a"}]
)
async def test_a_cursor_is_of_its_order_and_filters_only(filled: Connector, make: Make, other: dict[str, str]) -> None:
    await (await make(filled)).to(filled, **other)


async def test_a_token_that_was_not_touched_still_opens(filled: Connector) -> None:
    for make in (page_cursor, session_cursor, change_token):
        presented = await make(filled)
        answer = await filled.page("notes", **presented.query, **{presented.param: presented.token})
        assert answer.status == 200
