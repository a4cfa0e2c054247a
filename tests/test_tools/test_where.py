"""Where bytes live is told once, written down, and the same for every command from then on."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes.s3 import S3Server
from tools.cli import main


def run(data: Path, *arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, [*arguments, "--data", str(data)], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.output


def test_the_first_command_writes_down_where_bytes_live_and_how_it_is_reached(tmp_path: Path, s3: S3Server) -> None:
    where = s3.where()
    told = ("--blobs", where.location + "/", "--s3-endpoint", str(where.endpoint), "--s3-region", "us-east-1")
    public = ("--s3-public-endpoint", "https://s3.example")
    run(tmp_path, "token", "create", "--owner", "ann", *told, *public)
    written = tomllib.loads((tmp_path / "blobstore.toml").read_text())
    assert written | {"topology": ""} == {
        "topology": "",
        "blobs": where.location,
        "s3_endpoint": where.endpoint,
        "s3_region": "us-east-1",
        "s3_public_endpoint": "https://s3.example",
    }
    run(tmp_path, "doctor")
    assert not (tmp_path / "blobs").exists()


def test_a_place_that_proves_wrong_is_not_written_down(tmp_path: Path, s3: S3Server) -> None:
    where = s3.where()
    reached = ("--s3-endpoint", str(where.endpoint), "--s3-region", "us-east-1")
    create = ("token", "create", "--owner", "ann", "--blobs")
    for command in (create, ("usage", "--blobs")):
        assert "no such bucket" in run(tmp_path, *command, "s3://no-such-bucket-anywhere", *reached, exit_code=1)
    run(tmp_path, *create, where.location, *reached)
    assert tomllib.loads((tmp_path / "blobstore.toml").read_text())["blobs"] == where.location


def test_a_secret_that_proves_wrong_is_not_written_down(tmp_path: Path) -> None:
    data, short, secret = tmp_path / "data", tmp_path / "short", tmp_path / "secret"
    short.write_bytes(bytes(31))
    secret.write_bytes(bytes(32))
    create = ("token", "create", "--owner", "ann", "--secret-file")
    for wrong in (short, tmp_path / "nowhere"):
        run(data, *create, str(wrong), exit_code=1)
    run(data, *create, str(secret))
    assert tomllib.loads((data / "blobstore.toml").read_text())["secret_file"] == str(secret)


@pytest.mark.parametrize("other", ["file", "s3://bucket/other"])
def test_another_place_later_is_refused(tmp_path: Path, other: str) -> None:
    (tmp_path / "blobstore.toml").write_text('blobs = "s3://bucket/place"\n')
    output = run(tmp_path, "token", "create", "--owner", "ann", "--blobs", other, exit_code=1)
    assert "keeps blobs = 's3://bucket/place'" in output


def test_what_is_no_place_is_refused_with_how_to_write_one(tmp_path: Path) -> None:
    output = run(tmp_path, "token", "create", "--owner", "ann", "--blobs", "s3:/bucket", exit_code=2)
    assert "write `file` or s3://BUCKET/PREFIX" in output
    (tmp_path / "blobstore.toml").write_text('blobs = "ftp://bucket"\n')
    assert "s3://BUCKET/PREFIX" in run(tmp_path, "token", "create", "--owner", "ann", exit_code=2)
