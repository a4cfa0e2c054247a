"""What was erased stays erased, also when the ledger that knows it is in a bucket, and not the one of the snapshot."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from blobstore.backends.where import Where
from tests.fakes.data_directory import CONNECTOR, Stored
from tests.fakes.s3 import S3Server
from tools.cli import main


def reached(where: Where) -> list[str]:
    return ["--s3-endpoint", str(where.endpoint), "--s3-region", str(where.region)]


def done(stored: Stored, *command: str) -> Result:
    result = stored.run(*command)
    assert result.exit_code == 0, result.output
    return result


def photos(stored: Stored) -> list[str]:
    rows = json.loads(done(stored, "usage", "--json").stdout)
    return [row["owner"] for row in rows if row.get("stream") == "photos" and row.get("records")]


def test_a_restore_takes_the_ledger_from_the_bucket_that_has_it_and_from_none_that_it_has_left(
    stored: Stored, s3: S3Server, tmp_path: Path
) -> None:
    first, second, out = s3.where(), s3.where(), str(tmp_path / "out")
    done(stored, "backup", out)
    done(stored, "blobs", "migrate", "--to", first.location, *reached(first))
    done(stored, "backup", out)
    done(stored, "blobs", "migrate", "--to", second.location, *reached(second))
    done(stored, "erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "photos")
    shutil.rmtree(stored.data)

    def restore(*told: str) -> Result:
        return CliRunner().invoke(main, ["restore", out, "--data", str(tmp_path / "new"), "--json", *told])

    refused = restore("--snapshot", "1")  # its blobs were files, and so was the ledger
    assert (refused.exit_code, "s3://BUCKET/PREFIX if its blobs have moved" in refused.output) == (2, True)
    refused = restore("--blobs", "file")  # the first bucket has a ledger, which does not know of the erasure
    assert (refused.exit_code, f"--ledger {second.location}" in refused.output) == (1, True), refused.output
    assert not (tmp_path / "new").exists()

    for snapshot in "1", "2":
        result = restore("--snapshot", snapshot, "--blobs", "file", "--ledger", second.location, *reached(second))
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)[0]["erased"] == 1
        again = Stored(tmp_path / "new", stored.ann)
        assert photos(again) == []
        assert again.doctor("--deep", exit_code=0) == []
        shutil.rmtree(again.data)


def test_a_ledger_that_comes_back_to_a_bucket_is_the_one_of_that_bucket_again(
    stored: Stored, s3: S3Server, tmp_path: Path
) -> None:
    first, out = s3.where(), tmp_path / "out"
    for place in (first.location, "file", first.location):
        done(stored, "blobs", "migrate", "--delete-now", "--to", place, *(reached(first) if place != "file" else ()))
    done(stored, "backup", str(out))
    done(stored, "erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "photos")
    result = CliRunner().invoke(main, ["restore", str(out), "--data", str(tmp_path / "new"), "--blobs", "file"])
    assert result.exit_code == 0, result.output
    assert photos(Stored(tmp_path / "new", stored.ann)) == []


@pytest.mark.parametrize("ledger", ["s3:/bucket", "no-such-file"])
def test_a_ledger_that_is_none_is_refused(stored: Stored, tmp_path: Path, ledger: str) -> None:
    done(stored, "backup", str(tmp_path / "out"))
    told = ["restore", str(tmp_path / "out"), "--data", str(tmp_path / "new"), "--ledger", ledger]
    result = CliRunner().invoke(main, told)
    assert (result.exit_code, ledger in result.output) == (2, True)
