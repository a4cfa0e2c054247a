"""`usage` counts what is there, stream by stream."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.store import RecordStore
from tests.fakes.data_directory import (
    CONNECTOR,
    DRAFT,
    LETTER,
    MANIFEST,
    PHOTO,
    Stored,
    delete,
    in_store,
    ingest,
    upload,
)


def usage(stored: Stored) -> list[Mapping[str, Any]]:
    result = stored.run("usage", "--json")
    assert result.exit_code == 0, result.output
    rows: list[Mapping[str, Any]] = json.loads(result.stdout)
    return rows


def row(stored: Stored, owner: str, stream: str | None) -> Mapping[str, Any]:
    [found] = [each for each in usage(stored) if (each["owner"], each["stream"]) == (owner, stream)]
    return found


def blobs(of: Mapping[str, Any]) -> tuple[int, int, int]:
    return of["blobs"], of["blob_bytes"], of["saved_bytes"]


def test_each_stream_has_a_row_and_each_owner_a_last_one(stored: Stored) -> None:
    rows = [(each["owner"], each["connector"], each["stream"], each["records"]) for each in usage(stored)]
    assert rows == [
        ("ann", CONNECTOR, "documents", 2),
        ("ann", CONNECTOR, "photos", 1),
        ("ann", None, None, 3),
        ("bob", CONNECTOR, "documents", 1),
        ("bob", None, None, 1),
    ]


def test_a_blob_counts_once_in_a_stream_and_what_its_other_links_save_too(stored: Stored) -> None:
    assert blobs(row(stored, "ann", "documents")) == (1, len(LETTER), len(LETTER))
    assert blobs(row(stored, "ann", "photos")) == (2, len(LETTER) + len(PHOTO), 0)


def test_an_owner_has_every_stored_blob_once_and_saves_across_streams(stored: Stored) -> None:
    everything = len(LETTER) + len(PHOTO) + len(DRAFT)
    assert blobs(row(stored, "ann", None)) == (3, everything, 2 * len(LETTER))
    assert blobs(row(stored, "bob", None)) == (1, len(LETTER), 0)


def test_bytes_of_records_are_those_of_their_json_text(stored: Stored) -> None:
    before = row(stored, "bob", "documents")["record_bytes"]

    async def work(store: RecordStore) -> None:
        await ingest(store, await store.access.owner("bob"), "9", [])

    in_store(stored.data, work)
    after = row(stored, "bob", "documents")
    assert (after["records"], after["record_bytes"] - before) == (2, len('{"id": "9", "attachments": []}'))


def test_instances_of_a_connector_and_its_only_linking_stream_are_counted_together(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        owner = await store.access.owner("bob")
        for instance in (None, "second"):
            photo = await upload(store, owner, PHOTO, "2", instance=instance)
            await ingest(store, owner, "2", [photo], instance=instance)

    in_store(stored.data, work)
    assert row(stored, "bob", "documents")["records"] == 3
    assert blobs(row(stored, "bob", "documents")) == (2, len(LETTER) + len(PHOTO), len(PHOTO))


def test_orphans_are_counted(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        await delete(store, await store.access.owner("ann"), "2", "photos")
        await store.collector.prepare()

    in_store(stored.data, work)
    total = row(stored, "ann", None)
    assert (total["orphans"], total["orphan_bytes"]) == (1, len(PHOTO))
    assert [each["stream"] for each in usage(stored) if each["owner"] == "ann"] == ["documents", None]


def test_an_owner_with_nothing_has_zeros(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        owner = await store.access.owner("carl")
        await store.registry.register(owner, json.dumps(MANIFEST).encode())

    in_store(stored.data, work)
    [carl] = [each for each in usage(stored) if each["owner"] == "carl"]
    numbers = [carl[name] for name in carl if name not in ("owner", "connector", "stream", "quota_bytes")]
    assert set(numbers) == {0}
    assert (carl["connector"], carl["stream"], carl["quota_bytes"]) == (None, None, None)


def test_people_get_a_table(stored: Stored) -> None:
    result = stored.run("usage")
    assert result.exit_code == 0
    assert "saved" in result.output
    assert "156." in result.output


def test_a_directory_that_is_no_store_is_refused_and_does_not_become_one(tmp_path: Path) -> None:
    result = Stored(tmp_path / "data", "").run("usage")
    assert result.exit_code == 1
    assert "no data directory" in result.stderr
    assert not (tmp_path / "data").exists()
