"""The encoding of the one order of records compares as the values themselves do."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from records.model import SortKey
from records.order import sort_key, split

numbers = st.integers() | st.floats(allow_nan=False) | st.integers(-(1 << 5000), 1 << 5000)
texts = st.text(st.characters(codec=None, categories=("L", "N", "P", "Cc", "Cs", "So")))
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
)


def encoded(value: object, key: str = "k") -> bytes:
    return sort_key(value, key).encoded


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


@given(json_values, json_values, texts, texts)
@example("a", "a\0", "\0\xffz", "b")
@example(1, 1 + 2**-40, "\xff\xff", "")
def test_the_key_decides_only_between_equal_values(a: object, b: object, one: str, other: str) -> None:
    same, swapped = sort_key(a, one), sort_key(b, other)
    values = sort_key(a, ""), sort_key(b, "")
    assert (same < swapped) == (values[0] < values[1] if values[0] != values[1] else one < other)


def test_kinds_of_values_follow_each_other() -> None:
    kinds = [False, True, -math.inf, -(10**400), -1.5, 0, 5e-324, 10**400, math.inf, "", "0", "\U0010ffff", [], {}]
    assert sorted(kinds, key=encoded) == kinds


@given(texts, texts, json_values.filter(lambda value: value is not None))
def test_absent_values_come_after_all_others_and_stand_by_key(one: str, other: str, value: object) -> None:
    assert sort_key(value, one) < sort_key(None, other)
    assert (sort_key(None, one) < sort_key(None, other)) == (one < other)


@given(json_values)
def test_objects_are_the_same_whatever_the_order_of_their_members(value: Any) -> None:
    members = {"b": value, "a": [value]}
    assert encoded(members) == encoded(dict(reversed(members.items())))
    assert encoded(members) == encoded(json.loads(json.dumps(members)))


@given(json_values | texts | numbers, texts, json_values | texts | numbers, texts)
def test_the_two_parts_compare_as_the_whole(a: object, one: str, b: object, other: str) -> None:
    first, second = sort_key(a, one), sort_key(b, other)
    assert b"".join(split(first, one)) == first.encoded
    if first.absent == second.absent:
        assert (split(first, one) < split(second, other)) == (first < second)
        assert (split(first, one) == split(second, other)) == (first == second)


def test_the_parts_of_a_sort_key_are_refused_to_another_key() -> None:
    with pytest.raises(ValueError, match="not made for this key"):
        split(SortKey(False, encoded(1, "one")), "other")


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        sort_key(math.nan, "k")
