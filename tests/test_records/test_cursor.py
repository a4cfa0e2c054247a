"""Sealed cursors: only what was sealed, for the very same list and caller, opens."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from records.errors import InvalidCursor
from records.model import Partition, Position, SortKey
from records.reading import changes, cursor
from records.reading.cursor import Binding

KEY = bytes(range(32))
BINDING = Binding("page", "owner1", "messages", "desc", "grant1", [("connector_id", "slack"), ("filter[a]", "1")])
POSITION = Position(SortKey(False, b"\x30needle\0"), Partition("slack", "one", "messages"), "key-needle")

positions = st.builds(
    Position,
    st.builds(SortKey, st.booleans(), st.binary(max_size=50)),
    st.builds(Partition, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@dataclass(frozen=True)
class Session:
    position: Position | None
    horizon: dict[str, int]


def refused(token: str, binding: Binding = BINDING, key: bytes = KEY, payload: type = Position) -> None:
    with pytest.raises(InvalidCursor) as raised:
        cursor.unseal(key, binding, token, payload)
    assert raised.value.code == "invalid_cursor"


@given(positions)
def test_what_was_sealed_opens(position: Position) -> None:
    assert cursor.unseal(KEY, BINDING, cursor.seal(KEY, BINDING, position), Position) == position


def test_a_session_may_be_sealed_with_its_position() -> None:
    session = Session(POSITION, {"messages": 1 << 60})
    assert cursor.unseal(KEY, BINDING, cursor.seal(KEY, BINDING, session), Session) == session


def test_filters_count_in_any_order() -> None:
    token = cursor.seal(KEY, BINDING, POSITION)
    turned = replace(BINDING, filters=tuple(reversed(list(BINDING.filters))))
    assert cursor.unseal(KEY, turned, token, Position) == POSITION


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "changes"},
        {"owner": "owner2"},
        {"stream": "messages2"},
        {"order": "asc"},
        {"scope": "grant2"},
        {"filters": []},
        {"filters": [("connector_id", "slack")]},
        {"filters": [("connector_id", "slack"), ("filter[a]", "2")]},
        {"filters": [("connector_id", "1"), ("filter[a]", "slack")]},
        {"owner": "owner1messages", "stream": ""},
    ],
)
def test_another_binding_is_refused(change: dict[str, object]) -> None:
    refused(cursor.seal(KEY, BINDING, POSITION), replace(BINDING, **change))  # type: ignore[arg-type]  # by name


def test_another_key_is_refused() -> None:
    refused(cursor.seal(KEY, BINDING, POSITION), key=bytes(32))


def test_another_payload_is_refused() -> None:
    refused(cursor.seal(KEY, BINDING, {"x": 1}))
    refused(cursor.seal(KEY, BINDING, POSITION), payload=Session)


@settings(deadline=None, max_examples=5)
@given(positions)
def test_every_flipped_bit_is_refused(position: Position) -> None:
    token = cursor.seal(KEY, BINDING, position)
    sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for place in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[place // 8] ^= 1 << place % 8
        refused(urlsafe_b64encode(flipped).rstrip(b"=").decode())
    for place in range(len(token) * 7):
        characters = bytearray(token.encode())
        characters[place // 7] ^= 1 << place % 7
        refused(characters.decode())


def test_no_part_of_a_token_is_one() -> None:
    token = cursor.seal(KEY, BINDING, POSITION)
    for cut in range(1, len(token) + 1):
        refused(token[:-cut])
        refused(token[cut:])


def test_two_tokens_cannot_be_spliced() -> None:
    one, other = cursor.seal(KEY, BINDING, POSITION), cursor.seal(KEY, BINDING, POSITION)
    for splice in {one[:cut] + other[cut:] for cut in range(len(one))} - {one, other}:
        refused(splice)


@pytest.mark.parametrize("extra", ["=", "A", "AAAA", "\n", " ", "é", "\0", "+", "/"])
def test_an_extended_token_is_refused(extra: str) -> None:
    token = cursor.seal(KEY, BINDING, POSITION)
    refused(token + extra)
    refused(extra + token)


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    refused(text)


def test_a_token_that_is_too_long_is_refused() -> None:
    token = cursor.seal(KEY, BINDING, {"x": "y" * cursor.MAX_LENGTH})
    assert len(token) > cursor.MAX_LENGTH
    refused(token, payload=dict)


@pytest.mark.parametrize("length", [0, 20, 100])
def test_how_long_a_token_is_does_not_tell_what_is_in_it(length: int) -> None:
    position = structs.replace(POSITION, sort=SortKey(False, bytes(length)))
    assert len(cursor.seal(KEY, BINDING, position)) == len(cursor.seal(KEY, BINDING, POSITION))


def test_the_longest_session_opens() -> None:
    names = [secrets.token_bytes(8) for _ in range(changes.MAX_PARTITIONS)]
    versions = dict.fromkeys(names, 1 << 40)
    owing = changes.Session(versions, versions, names[-1], 1 << 40, {}, {})
    keys = iter(range(changes.MAX_OWED + 1))
    while owing.owe(names[n := next(keys)], f"{n:03}" + "\N{PILE OF POO}" * 9, 1 << 40):
        pass
    session = msgspec.structs.replace(owing, owed=owing.late)
    assert len(cursor.seal(KEY, BINDING, session)) <= cursor.MAX_LENGTH
    assert cursor.unseal(KEY, BINDING, cursor.seal(KEY, BINDING, session), changes.Session) == session


def test_nothing_can_be_read_and_nothing_repeats() -> None:
    tokens = {cursor.seal(KEY, BINDING, POSITION) for _ in range(100)}
    assert len({token[:16] for token in tokens}) == 100
    assert all(b"needle" not in urlsafe_b64decode(token + "==") for token in tokens)


def test_a_token_is_url_safe() -> None:
    for _ in range(100):
        token = cursor.seal(KEY, BINDING, secrets.token_bytes(20))
        assert token.replace("-", "a").replace("_", "a").isalnum()
        assert token.isascii()
