"""`gc` shows what would go, removes it, and stops where that looks wrong."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from records.store import RecordStore
from tests.fakes.data_directory import DRAFT, LETTER, PHOTO, Stored, delete, digest_of, in_store


def gc(stored: Stored, *options: str, exit_code: int = 0) -> list[Mapping[str, Any]]:
    result = stored.run("gc", "--json", "--grace", "0", *options)
    assert result.exit_code == exit_code, result.output
    rows: list[Mapping[str, Any]] = json.loads(result.stdout)
    return rows


def delete_photo(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        await delete(store, await store.access.owner("ann"), "2", "photos")

    in_store(stored.data, work)


def orphan_all(stored: Stored, count: int) -> None:
    """Many blobs of ann's that nobody holds, together larger than all others."""
    orphans = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    stored.catalogue(
        f"{orphans} INSERT INTO blobs (namespace, digest, generation, sha256, size, state, verified_at, orphaned_at)"
        " SELECT ?, randomblob(32), printf('%032x', i), randomblob(32), 5000, 'live', 1, 1 FROM n",
        stored.ann,
    )


def test_a_dry_run_shows_everything_that_would_go_and_removes_nothing(stored: Stored) -> None:
    delete_photo(stored)
    orphan_all(stored, 1200)
    leftover = stored.data / "staging" / ("0" * 16) / ("a" * 32)
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    *rows, summary = gc(stored, "--dry-run", exit_code=3)
    assert Counter(row["what"] for row in rows) == {"orphan": 1201, "debris": 1}
    assert str(digest_of(PHOTO)) in {row.get("blob_id") for row in rows}
    assert (summary["blobs"], summary["bytes"]) == (1201, len(PHOTO) + 1200 * 5000)
    assert "1201 blobs" in summary["stopped"]
    assert leftover.exists()
    assert stored.file(PHOTO).exists()


def test_what_is_removed_is_told_with_the_collection_that_removed_it(stored: Stored) -> None:
    delete_photo(stored)
    photo = stored.file(PHOTO)
    removed, summary = gc(stored)
    assert removed == {
        "what": "removed",
        "blob_id": str(digest_of(PHOTO)),
        "bytes": len(PHOTO),
        "reason": f"garbage {summary['collection']}",
    }
    assert (summary["blobs"], summary["bytes"], summary["stopped"]) == (1, len(PHOTO), None)
    assert not photo.exists()


def test_bytes_that_came_after_their_removal_are_removed_again(stored: Stored) -> None:
    """As those of an upload to S3 whose process died while it was fenced off."""
    delete_photo(stored)
    photo = stored.file(PHOTO)
    gc(stored)
    photo.parent.mkdir(parents=True, exist_ok=True)
    photo.write_bytes(PHOTO)
    (found,) = stored.doctor(exit_code=0)
    assert (found["kind"], found["severity"]) == ("late_file", "debris")
    late, _ = gc(stored, "--dry-run")
    assert (late["kind"], photo.exists()) == ("late_file", True)
    gc(stored, "--foreign")
    assert not photo.exists()
    photo.parent.mkdir(parents=True, exist_ok=True)
    photo.write_bytes(PHOTO)
    assert stored.doctor("--repair", exit_code=0)[0]["repaired"]
    assert stored.kinds(exit_code=0) == []


def test_the_fuse_removes_nothing_until_somebody_who_looked_says_so(stored: Stored) -> None:
    orphan_all(stored, 120)
    (summary,) = gc(stored, exit_code=3)
    assert (summary["blobs"], summary["collection"]) == (0, None)
    assert "120 blobs with 600000 of all" in summary["stopped"]
    assert "stopped: 120 blobs" in stored.run("gc", "--grace", "0").output
    assert "collection_stopped" in stored.kinds()
    *_, summary = gc(stored, "--max-share", "1")
    assert summary["blobs"] == 120
    assert "collection_stopped" not in stored.kinds(exit_code=0)


def test_a_directory_of_another_store_is_not_collected(stored: Stored) -> None:
    delete_photo(stored)
    (stored.data / "store-id").write_text("another")
    result = stored.run("gc", "--grace", "0")
    assert result.exit_code == 1
    assert "store-id is another store's" in result.output
    assert stored.file(PHOTO).exists()


def test_an_empty_catalogue_beside_blobs_removes_nothing(stored: Stored) -> None:
    files = [stored.file(data) for data in (LETTER, PHOTO, DRAFT)]
    for path in stored.data.glob("catalogue.db*"):
        path.unlink()
    assert stored.run("gc", "--grace", "0").exit_code == 1
    assert all(file.exists() for file in files)


@pytest.mark.parametrize("options", [("--dry-run",), ("--foreign",)])
def test_foreign_files_are_shown_and_stay(stored: Stored, options: tuple[str, ...]) -> None:
    mine = [stored.data / "blobs" / "README", stored.data / "staging" / "notes", stored.file(LETTER).with_name("x")]
    for path in mine:
        path.write_bytes(b"mine")
    unknown = stored.file(LETTER).with_name(f"{digest_of(LETTER).hex}.{'0' * 32}")
    unknown.write_bytes(b"whose?")
    *rows, summary = gc(stored, *options)
    shown = {row["subject"] for row in rows if row["what"] == "foreign"}
    paths = {str(path.relative_to(stored.data)) for path in mine}
    assert shown == {*paths, str(digest_of(LETTER))}
    assert summary["foreign"] == 4
    assert all(path.exists() for path in (*mine, unknown))


def test_a_collection_without_the_option_does_not_look_at_every_file(stored: Stored) -> None:
    (stored.data / "blobs" / "README").write_bytes(b"mine")
    (stored.data / "staging" / "notes").write_bytes(b"mine")
    *rows, _ = gc(stored)
    assert [row["subject"] for row in rows] == ["staging/notes"]


@pytest.mark.parametrize("grace", ["0", "0s", "0d"])
def test_no_grace_is_zero_of_anything(stored: Stored, grace: str) -> None:
    delete_photo(stored)
    assert stored.run("gc", "--grace", grace).exit_code == 0
    assert not any(each["what"] == "orphan" for each in gc(stored, "--dry-run"))


def test_a_grace_that_is_no_time_is_refused_with_what_would_be_one(stored: Stored) -> None:
    result = stored.run("gc", "--grace", "soon")
    assert result.exit_code == 2
    assert "or 0" in result.output
