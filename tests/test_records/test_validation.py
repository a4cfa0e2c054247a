"""Records held against their stream's schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from records.consent.scope import Selector
from records.errors import Invalid
from records.manifest import StreamDeclaration, decode
from records.store import RecordStore
from records.writing.validation import checker


def manifest(schema: Mapping[str, Any]) -> bytes:
    stream = {"name": "s", "semantics": "mutable_state", "primary_key": ["id"], "schema": schema}
    return json.dumps({"connector_id": "c", "streams": [stream]}).encode()


def declared(schema: Mapping[str, Any]) -> StreamDeclaration:
    return decode(manifest(schema)).streams["s"]


def line(key: str, n: int) -> bytes:
    return json.dumps({"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": key, "n": n}}).encode()


SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "n": {"$ref": "#/$defs/count"}, "when": {"format": "date-time"}},
    "required": ["id"],
    "$defs": {"count": {"type": "integer", "minimum": 1}},
}


def test_data_that_the_schema_allows_passes() -> None:
    check = checker(declared(SCHEMA))
    assert check is not None
    for data in ({"id": "a"}, {"id": "a", "n": 2**70}, {"id": "a", "more": [None]}):
        check(data)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"n": 1}, "data: "),
        ({"id": "a", "n": 0}, "data/n: "),
        ({"id": "a", "n": "secret"}, "data/n: "),
        ({"id": 7}, ""),
    ],
)
def test_data_that_it_does_not_is_refused_with_its_place_and_without_its_value(
    data: Mapping[str, Any], place: str
) -> None:
    check = checker(declared(SCHEMA))
    assert check is not None
    with pytest.raises(Invalid) as raised:
        check(data)
    assert raised.value.code == "invalid_record"
    assert place in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_schema_that_may_take_for_ever_to_compile_is_not_enforced() -> None:
    level: dict[str, Any] = {}
    for _ in range(16):
        level = {"unevaluatedProperties": level, "allOf": [{"$ref": "#"}, {"$ref": "#"}]}
    assert checker(declared({"type": "object", "properties": {"id": {}}, **level})) is None


def test_a_pattern_takes_linear_time_or_is_refused() -> None:
    hostile = {"type": "object", "properties": {"id": {"type": "string", "pattern": "^(a+)+$"}}}
    check = checker(declared(hostile))
    assert check is not None
    with pytest.raises(Invalid):
        check({"id": "a" * 100_000 + "b"})
    backwards = checker(declared({"type": "object", "properties": {"id": {"pattern": r"^(.)\1$"}}}))
    assert backwards is not None
    with pytest.raises(Invalid, match="simpler patterns"):
        backwards({"id": "aa"})


@pytest.mark.parametrize(("validate", "rejected"), [(True, 1), (False, 0)])
async def test_a_store_rejects_them_only_where_it_was_asked_to(tmp_path: Path, validate: bool, rejected: int) -> None:
    store = await RecordStore.open(tmp_path, validate=validate)
    owner = await store.access.owner("ada")
    await store.registry.register(owner, manifest(SCHEMA))
    ingest = await store.ingests.begin(owner, "s", Selector("c"))
    await ingest.apply([line("a", 1), line("b", 0)])
    assert (ingest.accepted, ingest.rejected) == (2 - rejected, rejected)
    assert [each.code for each in ingest.rejections] == ["invalid_record"] * rejected
    await store.close()
