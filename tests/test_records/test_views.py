"""Whoever opens a records file by other means finds a view of each stream."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from records.engines.sqlite import SqliteEngine
from records.layout import Topology, record_files
from records.model import Partition
from records.store import RecordStore
from tests.conformance.engine_values import MESSAGES, batch_of, put
from tests.fakes.data_directory import LETTER, MANIFEST, digest_of, ingest, upload, vandal


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    engine = await SqliteEngine.open(tmp_path / "o1.db")
    yield engine
    await engine.close()


def rows(path: Path, sql: str) -> list[dict[str, object]]:
    with vandal(path) as db:
        cursor = db.execute(sql)
        return [dict(zip([each[0] for each in cursor.description], row, strict=True)) for row in cursor]


@pytest.mark.parametrize(("topology", "name"), [("single", "documents of files"), ("per-connector", "documents")])
async def test_a_stream_has_a_view_with_plain_columns(tmp_path: Path, topology: str, name: str) -> None:
    store = await RecordStore.open(tmp_path, topology=Topology(topology))
    owner = await store.access.owner("ann")
    await store.registry.register(owner, msgspec.json.encode(MANIFEST))
    letter = await upload(store, owner, LETTER, "1")
    await ingest(store, owner, "1", [letter])
    (instance,) = await store.central.instances(owner.id)
    await store.close()
    found = [row for path in record_files(tmp_path) for row in _all(path, name)]
    (row,) = found
    assert row["key"] == row["id"] == "1"
    assert row["instance"] == instance.id
    assert row["emitted_at"] == "2026-11-23T10:00:00Z"
    assert row["attachments"] == f"blob_b3_{digest_of(LETTER).hex}"
    assert json.loads(str(row["data.attachments"]))[0]["blob_ref"]["blob_id"] == letter


def _all(path: Path, view: str) -> list[dict[str, object]]:
    there = rows(path, "SELECT name FROM sqlite_schema WHERE type = 'view'")
    return rows(path, f'SELECT * FROM "{view}"') if {"name": view} in there else []


async def test_columns_follow_the_fields_that_are_declared(engine: SqliteEngine, tmp_path: Path) -> None:
    for fields in (("id",), ("id", "text"), ("text",)):
        await engine.apply(replace(batch_of(MESSAGES, put("a", "x")), fields=fields))
        (view,) = rows(tmp_path / "o1.db", "SELECT name FROM sqlite_schema WHERE type = 'view'")
        (row,) = rows(tmp_path / "o1.db", f'SELECT * FROM "{view["name"]}"')
        assert set(row) == {"instance", "key", "emitted_at", "attachments", *fields}


@pytest.mark.parametrize(
    "stream", ["records", "sqlite_master", "a'b\"c; DROP TABLE records", "Fresh", "moved", "nul\0"]
)
async def test_no_name_is_too_strange(engine: SqliteEngine, stream: str) -> None:
    engine.own_file = True
    place = Partition(stream, stream, stream)
    fields = ("key", "a b", "it's", 'quo"te', "back\\slash", "KEY", "instance", "")
    await engine.apply(replace(batch_of(place, put("a")), fields=fields))
    await engine.sanitize(5.0)
    assert await engine.check() == []


@pytest.mark.parametrize(
    "at",
    ["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.007Z", "1969-12-31T23:59:59.000001Z", "2026-11-23T10:00:00.1+02:00"],
)
async def test_times_are_shown_to_the_letter(engine: SqliteEngine, tmp_path: Path, at: str) -> None:
    await engine.apply(replace(batch_of(MESSAGES, put("a", emitted_at=at)), fields=("id",)))
    (view,) = rows(tmp_path / "o1.db", "SELECT name FROM sqlite_schema WHERE type = 'view'")
    assert [row["emitted_at"] for row in rows(tmp_path / "o1.db", f'SELECT * FROM "{view["name"]}"')] == [at]


async def test_an_erasure_of_all_leaves_no_name_of_a_field(tmp_path: Path) -> None:
    store = await RecordStore.open(tmp_path)
    owner = await store.access.owner("ann")
    field = "a_field_with_a_long_name"
    stream = {**MANIFEST["streams"][0], "schema": {"type": "object", "properties": {"id": {}, field: {}}}}
    await store.registry.register(owner, msgspec.json.encode({**MANIFEST, "streams": [stream]}))
    await ingest(store, owner, "1", [])
    path = next(record_files(tmp_path))
    assert field in str(rows(path, "SELECT sql FROM sqlite_schema WHERE type = 'view'"))
    erasure = await store.erasures.erase(owner, await store.erasures.coverage.of_owner(owner), wait=10)
    assert erasure.report.clean
    assert not any(field.encode() in each.read_bytes() for each in (tmp_path / "records").rglob("*.db*"))
    await store.close()
