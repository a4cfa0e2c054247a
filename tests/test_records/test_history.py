"""What is remembered of a record tells its states apart and says nothing of them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records import jsontext
from records.history import (
    Recorder,
    Remembered,
    Revision,
    Revisions,
    consent_in,
    erased,
    read_revisions,
    recall,
    redacted,
    revise,
    same_content,
)

RECORDER = Recorder(b"k" * 32, "at")
ONE, TWO, THREE = (Revision(n, f"2026-01-0{n}T00:00:00Z") for n in (1, 2, 3))

# -- content -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ('{"id":"k","a":1}', '{ "a" : 1,\n"id":"\\u006b" }', True),
        ('{"id":"k","a":{"x":[1,2],"y":null}}', '{"id":"k","a":{"y":null,"x":[1,2]}}', True),
        ('{"id":"k","a":[1,2]}', '{"id":"k","a":[2,1]}', False),
        ('{"id":"k","a":1}', '{"id":"k","a":1.0}', False),
        ('{"id":"k","a":1e2}', '{"id":"k","a":100.0}', True),
        ('{"id":"k","a":9007199254740993}', '{"id":"k","a":9007199254740992}', False),
        ('{"id":"k","a":12345678901234567890123}', '{"id":"k","a":12345678901234567890124}', False),
        ('{"id":"k","a":"1"}', '{"id":"k","a":1}', False),
        ('{"id":"k","a":null}', '{"id":"k"}', False),
        ('{"id":"k","a":"é"}', '{"id":"k","a":"\\u00e9"}', True),
        ('{"id":"k","a":"é"}', '{"id":"k","a":"e\\u0301"}', False),
        ('{"id":"k","a":"\\u0000"}', '{"id":"k","a":""}', False),
    ],
)
def test_content_is_the_same_however_it_is_spelled(first: str, second: str, same: bool) -> None:
    assert same_content(first.encode(), second.encode()) is same
    assert same_content(second.encode(), first.encode()) is same
    states = [RECORDER.state(jsontext.decode(text.encode())) for text in (first, second)]
    assert states[0].differs(states[1], None) is not same


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(values, values)
def test_values_are_told_apart(first: Any, second: Any) -> None:
    def spelled(value: Any, **options: Any) -> bytes:
        return json.dumps({"id": "k", "x": value}, **options).encode()

    assert same_content(spelled(first), spelled(first, indent=1, ensure_ascii=False))
    same = same_content(spelled(first), spelled(second))
    assert same == (jsontext.canonical(first) == jsontext.canonical(second))
    assert same == (RECORDER.remember(spelled(first)) == RECORDER.remember(spelled(second)))


# -- what is remembered --------------------------------------------------------------------------------------------


def test_only_the_fields_that_are_seen_tell_states_apart() -> None:
    one = recall(RECORDER.remember(b'{"id":"k","text":"one","more":1}'))
    two = recall(RECORDER.remember(b'{"id":"k","text":"two","less":1}'))
    assert one.differs(two, ["id", "text"])
    assert one.differs(two, ["more"])
    assert one.differs(two, ["less"])
    assert not one.differs(two, ["id", "none"])
    assert not one.differs(two, [])


def test_a_state_of_nothing_but_digests_and_the_consent_time_says_nothing_of_its_content() -> None:
    stored = RECORDER.remember(b'{"id":"secret-key","text":"a secret","at":"2026-01-01"}')
    assert b"secret" not in stored
    assert recall(stored).consent == "2026-01-01"


def test_digests_are_of_one_owner_and_one_field() -> None:
    data = b'{"a":"x","b":"x"}'
    other = recall(Recorder(b"o" * 32, None).remember(data)).fields
    mine = recall(RECORDER.remember(data)).fields
    assert mine is not None
    assert other is not None
    assert len({*mine.values(), *other.values()}) == 4


@pytest.mark.parametrize("at", ["7", "null", '["x"]', '{"at":"x"}'])
def test_a_consent_time_that_is_no_string_is_none(at: str) -> None:
    data = f'{{"at":{at}}}'.encode()
    assert recall(RECORDER.remember(data)).consent is None
    assert consent_in(b'{"at":"x"}', None) is None


@pytest.mark.parametrize("damaged", [b"", b'{"id":', b"[" * 100_000, b"\xff", b"[1]", b'"text"'])
def test_what_cannot_be_read_is_unlike_anything_and_has_no_fields(damaged: bytes) -> None:
    assert not same_content(damaged, b"{}")
    assert recall(RECORDER.remember(damaged)) == Remembered({}, None, "at")
    assert read_revisions(revise(None, ONE, damaged, b'{"a":1}', TWO)) == Revisions(ONE, {"a": TWO})


# -- revisions -----------------------------------------------------------------------------------------------------


def test_revisions_name_the_last_change_of_each_field() -> None:
    first = revise(None, ONE, b'{"a":1,"b":[1,{"x":2,"y":3}],"c":1}', b'{"a":2,"b":[1,{"y":3,"x":2}],"d":1}', TWO)
    assert read_revisions(first) == Revisions(ONE, {"a": TWO, "c": TWO, "d": TWO})
    second = revise(first, TWO, b'{"a":2,"d":1}', b'{"a":3,"d":1}', THREE)
    assert read_revisions(second) == Revisions(ONE, {"a": THREE, "c": TWO, "d": TWO})


def test_a_change_is_seen_by_who_sees_its_field() -> None:
    revisions = Revisions(ONE, {"a": TWO, "b": THREE})
    seen = {fields: revisions.seen(fields) for fields in ("a", "b", "ab", "c", "")}
    assert seen == {"a": TWO, "b": THREE, "ab": THREE, "c": ONE, "": ONE}


def test_an_erased_state_has_its_consent_time_only_and_is_unlike_anything() -> None:
    stored = RECORDER.remember(b'{"id":"a","at":"2026-01-01"}')
    left = recall(redacted(stored))
    assert left == recall(erased("2026-01-01", "at")) == Remembered(None, "2026-01-01", "at")
    for fields in (None, ["id"], []):
        assert left.differs(recall(stored), fields)
        assert recall(stored).differs(left, fields)
