"""Canonical keys: one spelling for each identity, and no disagreement with the data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import keys
from records.errors import Invalid

ONE, TWO = ("id",), ("user", "item")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())


def refused(key: object, primary_key: tuple[str, ...] = ONE) -> str:
    with pytest.raises(Invalid) as raised:
        keys.canonical(key, primary_key)
    assert raised.value.code == "invalid_record_identity"
    return str(raised.value)


def test_a_string_is_its_own_canonical_form() -> None:
    for key in ("m30", "a/b", '["m30"]', "é\0\U0001f600", " ", "7"):
        assert keys.canonical(key, ONE) == key


def test_an_array_of_one_part_is_the_part() -> None:
    assert keys.canonical(["m30"], ONE) == "m30"
    assert keys.canonical([7], ONE) == "7"


def test_a_compound_key_is_the_minified_array_of_strings() -> None:
    assert keys.canonical(["u1", "7"], TWO) == '["u1","7"]'
    assert keys.canonical(["u é", 'a"b\\/\n\0'], TWO) == '["u é","a\\"b\\\\/\\n\\u0000"]'


def test_scalar_parts_stand_for_their_json_text() -> None:
    parts = [7, -0, 1.5, 1e300, True, False, None, 12345678901234567890123]
    assert keys.canonical(parts, ("f",) * len(parts)) == json.dumps(
        ["7", "0", "1.5", "1e300", "true", "false", "null", "12345678901234567890123"], separators=(",", ":")
    )


def test_a_string_may_be_the_canonical_array_already() -> None:
    assert keys.canonical('["u1","7"]', TWO) == '["u1","7"]'


@pytest.mark.parametrize("key", ['["u1", "7"]', '["u1",7]', '["u1"]', '["u1","7","8"]', "u1", "", "{}", "[" * 5000])
def test_any_other_string_is_no_compound_key(key: str) -> None:
    assert "array of 2 strings" in refused(key, TWO)


@pytest.mark.parametrize("key", [None, 7, 7.5, True, {}, {"id": "x"}])
def test_a_key_that_is_no_string_and_no_array_is_refused(key: object) -> None:
    refused(key)
    refused(key, TWO)


@pytest.mark.parametrize("key", [["a", ["b"]], ["a", {}], [[], "a"], ["a"], ["a", "b", "c"], []])
def test_nested_parts_and_wrong_numbers_of_parts_are_refused(key: list[object]) -> None:
    refused(key, TWO)


def test_an_empty_key_is_refused() -> None:
    assert "empty" in refused("")
    assert "empty" in refused([""])
    assert keys.canonical(["", ""], TWO) == '["",""]'


def test_the_limit_is_in_bytes_of_utf8() -> None:
    assert keys.canonical("é" * 512, ONE) == "é" * 512
    assert "1024 bytes" in refused("é" * 512 + "x")
    refused("x" * 10_000)
    refused(["x" * 600, "y" * 600], TWO)


@given(st.lists(scalars, min_size=2, max_size=5))
def test_the_canonical_form_is_json_of_the_parts_and_its_own_canonical_form(parts: list[object]) -> None:
    fields = tuple(f"f{n}" for n in range(len(parts)))
    canonical = keys.canonical(parts, fields)
    assert json.loads(canonical) == [part if isinstance(part, str) else json_text(part) for part in parts]
    assert keys.canonical(canonical, fields) == canonical
    assert keys.of_data(dict(zip(fields, parts, strict=True)), fields) == canonical


def json_text(value: object) -> str:
    if isinstance(value, float):
        return keys.canonical([value], ONE)
    return json.dumps(value)


@given(st.lists(texts, min_size=2, max_size=4), st.lists(texts, min_size=2, max_size=4))
def test_different_parts_are_different_keys(first: list[str], second: list[str]) -> None:
    fields = {len(parts): tuple("abcd"[: len(parts)]) for parts in (first, second)}
    same = keys.canonical(first, fields[len(first)]) == keys.canonical(second, fields[len(second)])
    assert same == (first == second)


@pytest.mark.parametrize("value", ["7", 7])
def test_key_and_data_agree_as_strings(value: object) -> None:
    keys.require_agreement("7", {"id": value, "x": 1}, ONE)
    keys.require_agreement('["u1","7"]', {"item": value, "user": "u1"}, TWO)


@pytest.mark.parametrize(
    ("key", "data", "primary_key"),
    [
        ("7", {"id": "8"}, ONE),
        ("7", {"id": 7.0}, ONE),
        ("7", {}, ONE),
        ("7", {"id": ["7"]}, ONE),
        ("7", {"id": {"a": 7}}, ONE),
        ('["u1","7"]', {"user": "7", "item": "u1"}, TWO),
        ('["u1","7"]', {"user": "u1"}, TWO),
    ],
)
def test_data_that_spells_another_key_is_refused(
    key: str, data: dict[str, object], primary_key: tuple[str, ...]
) -> None:
    with pytest.raises(Invalid) as raised:
        keys.require_agreement(key, data, primary_key)
    assert raised.value.code == "invalid_record_identity"


def test_a_deletion_may_leave_the_primary_key_out_but_not_contradict_it() -> None:
    keys.require_no_contradiction("7", {}, ONE)
    keys.require_no_contradiction("7", {"id": 7}, ONE)
    keys.require_no_contradiction('["u1","7"]', {"item": 7}, TWO)
    for key, data, primary_key in (("7", {"id": 8}, ONE), ('["u1","7"]', {"item": "u1"}, TWO)):
        with pytest.raises(Invalid):
            keys.require_no_contradiction(key, data, primary_key)
