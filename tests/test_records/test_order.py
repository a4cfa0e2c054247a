"""The encoding of the one order of records compares as the values themselves do."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from records.order import sort_key

numbers = st.integers() | st.floats(allow_nan=False) | st.integers(-(1 << 5000), 1 << 5000)
texts = st.text(st.characters(codec=None, categories=("L", "N", "P", "Cc", "Cs", "So")))
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
)


def encoded(value: object) -> bytes:
    return sort_key(value).cursor


@given(numbers, numbers)
@example(2**53 + 1, 2.0**53)
@example(2**53, 2.0**53)
@example(-(2**53) - 1, -(2.0**53))
@example(0.1, 1)
@example(-0.0, 0)
@example(5e-324, 0)
@example(-5e-324, 0)
@example(1.7976931348623157e308, 10**309)
@example(math.inf, 1 << 5000)
@example(-math.inf, -(1 << 5000))
@example(256, 1)
@example(1 << 62000, 1 << 70000)
@example(1 << 63486, (1 << 63486) - 1)
@example(-(1 << 62000), -(1 << 70000))
def test_numbers_of_both_kinds_stand_in_one_exact_order(a: float, b: float) -> None:
    assert (encoded(a) < encoded(b)) == (a < b)
    assert (encoded(a) == encoded(b)) == (a == b)


@given(st.floats(allow_nan=False), st.integers(-3, 3))
def test_integers_near_a_float_are_told_from_it(value: float, off: int) -> None:
    whole = (0 if math.isinf(value) else int(value)) + off
    assert (encoded(whole) < encoded(value)) == (whole < value)
    assert (encoded(whole) == encoded(value)) == (whole == value)


@given(texts, texts)
@example("a", "a\0")
@example("a\0", "a\0\0")
@example("a\0b", "a\x01")
@example("\ud800", "\U00010000")
@example("\uffff", "\U00010000")
def test_strings_stand_in_the_order_of_code_points(a: str, b: str) -> None:
    assert (encoded(a) < encoded(b)) == (a < b)
    assert (encoded(a) == encoded(b)) == (a == b)


@given(json_values | texts | numbers, json_values | texts | numbers)
@example("a", "a\0")
@example(1, 1 + 2**-40)
def test_no_value_is_the_beginning_of_another(a: object, b: object) -> None:
    one, other = encoded(a), encoded(b)
    assert one == other or None in (a, b) or not other.startswith(one)


def test_kinds_of_values_follow_each_other() -> None:
    kinds = [False, True, -math.inf, -(10**400), -1.5, 0, 5e-324, 10**400, math.inf, "", "0", "\U0010ffff", [], {}]
    assert sorted(kinds, key=encoded) == kinds


@given(json_values.filter(lambda value: value is not None))
def test_absent_values_come_after_all_others(value: object) -> None:
    assert sort_key(value) < sort_key(None)


@given(json_values)
def test_objects_are_the_same_whatever_the_order_of_their_members(value: Any) -> None:
    members = {"b": value, "a": [value]}
    assert encoded(members) == encoded(dict(reversed(members.items())))
    assert encoded(members) == encoded(json.loads(json.dumps(members)))


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        sort_key(math.nan)
