"""`blobstore blobs`: bytes move from place to place, and nothing else about a store changes."""

import json
import tomllib
from pathlib import Path
from typing import Any

from blobstore.backends.where import Where
from tests.fakes.data_directory import DRAFT, LETTER, PHOTO, Stored, digest_of
from tests.fakes.s3 import S3Server


def options(where: Where) -> list[str]:
    return ["--to", where.location, "--s3-endpoint", str(where.endpoint), "--s3-region", str(where.region)]


def migrate(stored: Stored, *told: str, exit_code: int = 0) -> list[dict[str, Any]]:
    result = stored.run("blobs", "migrate", "--json", *told)
    assert result.exit_code == exit_code, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def places(stored: Stored) -> dict[str, tuple[int, int, bool]]:
    """Of each place how many blobs live there, how many copies are kept there, and whether it is the intake."""
    rows = json.loads(stored.run("blobs", "show", "--json").stdout)
    return {row["place"]: (row["blobs"], row["kept_blobs"], row["intake"]) for row in rows}


def export(stored: Stored) -> bytes:
    return stored.run("export", "--owner", "ann", "-").stdout_bytes


def there(s3: S3Server, where: Where) -> int:
    """Objects in the place, but for what says whose it is, and the erasure ledger."""
    bucket, _, prefix = where.location.removeprefix("s3://").partition("/")
    listed = s3.client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    return sum(not row["Key"].endswith("/store-id") and "/ledger" not in row["Key"] for row in listed)


def files(stored: Stored) -> int:
    return sum(path.is_file() for path in (stored.data / "blobs").rglob("*"))


def test_blobs_move_to_s3_and_to_another_bucket_and_back(stored: Stored, s3: S3Server) -> None:
    before = export(stored)
    first, second = s3.where(), s3.where()
    assert places(stored) == {"file": (4, 0, True)}

    (summary,) = migrate(stored, *options(first))
    assert (summary["blobs"], summary["bytes"], summary["left"], summary["kept_blobs"]) == (4, 160_023, 0, 4)
    assert places(stored) == {"file": (0, 4, False), first.location: (4, 0, True)}
    assert (there(s3, first), files(stored)) == (4, 4)
    configuration = tomllib.loads((stored.data / "blobstore.toml").read_text())
    assert (configuration["blobs"], configuration["s3_endpoint"]) == (first.location, first.endpoint)
    assert export(stored) == before
    assert stored.kinds("--deep", exit_code=0) == []

    (summary,) = migrate(stored, *options(second), "--delete-now")
    assert (summary["blobs"], summary["kept_blobs"]) == (4, 0)
    assert (there(s3, first), there(s3, second), files(stored)) == (0, 4, 0)
    assert export(stored) == before

    migrate(stored, "--to", "file", "--delete-now")
    assert (there(s3, second), files(stored)) == (0, 4)
    assert "s3_endpoint" not in (stored.data / "blobstore.toml").read_text()
    assert export(stored) == before
    assert stored.kinds("--deep", exit_code=0) == []


def test_a_migration_that_is_run_again_has_nothing_to_do(stored: Stored, s3: S3Server) -> None:
    where = s3.where()
    migrate(stored, *options(where))
    (summary,) = migrate(stored, *options(where))
    assert (summary["blobs"], summary["kept_blobs"]) == (0, 4)
    assert "copies of 4 blobs" in stored.run("blobs", "migrate", *options(where)).output


def test_to_go_back_nobody_need_say_again_how_the_place_is_reached(stored: Stored, s3: S3Server) -> None:
    where = s3.where()
    migrate(stored, *options(where))
    migrate(stored, "--to", "file")
    migrate(stored, "--to", where.location)
    written = tomllib.loads((stored.data / "blobstore.toml").read_text())
    assert (written["s3_endpoint"], written["s3_region"]) == (where.endpoint, where.region)


def test_what_is_left_behind_goes_with_a_collection_when_its_time_is_over(stored: Stored, s3: S3Server) -> None:
    where = s3.where()
    migrate(stored, *options(where))
    stored.run("gc", "--grace", "0")
    assert files(stored) == 4
    stored.catalogue("UPDATE blobs SET kept_until = 1 WHERE kept_until IS NOT NULL")
    stored.catalogue("UPDATE places SET left_at = 1 WHERE left_at IS NOT NULL")
    summary = json.loads(stored.run("gc", "--json").stdout)[-1]
    assert (summary["blobs"], summary["copies"]) == (0, 4)
    assert files(stored) == 0
    stored.run("gc")
    assert places(stored) == {where.location: (4, 0, True)}
    assert stored.kinds("--deep", exit_code=0) == []


def test_a_plan_says_what_would_be_copied_and_changes_nothing(stored: Stored, s3: S3Server) -> None:
    where = s3.where()
    (plan,) = migrate(stored, *options(where), "--plan")
    assert (plan["blobs"], plan["bytes"]) == (4, 160_023)
    assert places(stored) == {"file": (4, 0, True)}
    bucket, _, prefix = where.location.removeprefix("s3://").partition("/")
    assert "Contents" not in s3.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
    assert "can be used; 4 blobs" in stored.run("blobs", "migrate", *options(where), "--plan").output


def test_a_place_with_anything_in_it_is_refused(stored: Stored, s3: S3Server, tmp_path: Path) -> None:
    taken, foreign = s3.where(), s3.where()
    other = Stored(tmp_path / "other", stored.ann)
    other.run("token", "create", "--owner", "ann", "--blobs", *options(taken)[1:])
    bucket, _, prefix = foreign.location.removeprefix("s3://").partition("/")
    s3.client().put_object(Bucket=bucket, Key=f"{prefix}/notes.txt", Body=b"mine")
    for where, message in ((taken, "the blobs of another store"), (foreign, "is not empty (notes.txt")):
        for told in (options(where), [*options(where), "--plan"]):
            result = stored.run("blobs", "migrate", *told)
            assert result.exit_code == 1
            assert message in result.output
    assert places(stored) == {"file": (4, 0, True)}


def test_a_place_that_is_no_place_is_refused(stored: Stored, s3: S3Server) -> None:
    for location, message in (("s3://no-such-bucket-anywhere", "no such bucket"), ("ftp://x", "write `file` or s3://")):
        result = stored.run("blobs", "migrate", *options(s3.where())[2:], "--to", location)
        assert result.exit_code != 0
        assert message in result.output
    assert places(stored) == {"file": (4, 0, True)}


def test_a_rate_of_nothing_is_refused(stored: Stored) -> None:
    assert "never end" in stored.run("blobs", "migrate", "--to", "file", "--rate", "0").output


def test_damaged_bytes_are_named_and_quarantined_and_not_copied(stored: Stored, s3: S3Server) -> None:
    where = s3.where()
    stored.file(PHOTO).chmod(0o600)
    stored.file(PHOTO).write_bytes(b"A photo " * 20_000)
    stored.file(DRAFT).unlink()
    rows = migrate(stored, *options(where), exit_code=1)
    assert {(row["blob_id"], row["verdict"]) for row in rows[:-1]} == {
        (str(digest_of(PHOTO)), "mismatch"),
        (str(digest_of(DRAFT)), "missing"),
    }
    assert rows[-1]["blobs"] == 2
    assert there(s3, where) == 2
    assert places(stored)["file"] == (0, 2, False)
    assert "quarantined" in stored.kinds()


def test_an_erasure_takes_the_copies_that_are_kept(stored: Stored, s3: S3Server) -> None:
    where = s3.where()
    migrate(stored, *options(where))
    preview = json.loads(stored.run("erase", "--owner", "ann", "--preview", "--json").stdout)
    result = stored.run("erase", "--owner", "ann", "--json")
    assert result.exit_code == 0, result.output
    assert there(s3, where) == files(stored) == 1  # bob's letter, and the kept copy of it
    assert LETTER
    assert preview


def test_usage_and_gc_count_a_blob_once(stored: Stored, s3: S3Server) -> None:
    before = stored.run("usage", "--json").stdout
    migrate(stored, *options(s3.where()))
    assert stored.run("usage", "--json").stdout == before
    summary = json.loads(stored.run("gc", "--dry-run", "--json").stdout)[-1]
    assert (summary["blobs"], summary["bytes"]) == (0, 0)
