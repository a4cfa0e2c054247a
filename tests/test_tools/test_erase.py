"""`blobstore erase` and `blobstore receipt`: what is shown before, what is proven after."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.fakes.data_directory import CONNECTOR, DRAFT, LETTER, PHOTO, Stored, make
from tools.cli import main


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return make(tmp_path / "data")


def bare(*arguments: str) -> Result:
    """A command that is given no data directory."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def receipt_of(stored: Stored, *options: str) -> bytes:
    result = stored.run("erase", "--owner", "ann", *options)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def test_a_preview_erases_nothing_and_says_what_would_go(stored: Stored) -> None:
    options = ("erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "photos")
    for _ in range(2):
        [preview] = json.loads(stored.run(*options, "--preview", "--json").stdout)
        assert (preview["records"], preview["blobs"], preview["bytes"]) == (1, 1, len(PHOTO))
        assert (preview["kept"]["blobs"], preview["kept"]["bytes"]) == (1, len(LETTER))
    text = stored.run(*options, "--preview").output
    assert "would erase 1 records and 1 blobs" in text
    assert "1 blobs (8 B) stay because they are shared" in text
    assert f"with {CONNECTOR}/" in text
    [done] = json.loads(stored.run(*options, "--json").stdout)
    assert (done["records"], done["blobs"], done["bytes"]) == (1, 1, len(PHOTO))
    assert done["kept"] == preview["kept"]


def test_the_receipt_goes_to_stdout_and_is_verified_without_the_server(stored: Stored, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(receipt_of(stored, "--connector", CONNECTOR))
    key = stored.run("receipt", "key").stdout.strip()
    for options in ([], ["--key", key]):
        result = bare("receipt", "verify", str(file), *options)
        assert result.exit_code == 0, result.output
        assert f"genuine: signed with {key}" in result.stdout
        assert "3 records of 2 streams, 3 blobs" in result.stdout
    assert bare("receipt", "verify", str(file), "--key", "A" * 43).exit_code == 1
    said = json.loads(file.read_bytes())
    assert stored.run("receipt", "show", said["erasure_id"]).stdout_bytes == file.read_bytes()


@pytest.mark.parametrize("harm", [b"", b"{}", b"no JSON", b"[1]"])
def test_what_is_no_receipt_is_refused(stored: Stored, tmp_path: Path, harm: bytes) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(harm)
    result = bare("receipt", "verify", str(file))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not genuine" in result.stderr


def test_a_receipt_that_was_changed_is_refused(stored: Stored, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(receipt_of(stored, "--connector", CONNECTOR).replace(b'"records":3', b'"records":4'))
    assert bare("receipt", "verify", str(file)).exit_code == 1


def test_an_erasure_that_is_not_known_has_no_receipt(stored: Stored) -> None:
    result = stored.run("receipt", "show", "era_nobody")
    assert result.exit_code == 1
    assert "no erasure era_nobody" in result.stderr


def test_a_whole_owner_goes_and_the_name_is_free_again(stored: Stored) -> None:
    said = json.loads(receipt_of(stored, "--yes"))
    assert said["scope"] == {"kind": "owner"}
    assert said["erased"] == {
        "records": 3,
        "streams": 2,
        "blobs": 3,
        "bytes": len(LETTER) + len(PHOTO) + len(DRAFT),
    }
    again = stored.run("erase", "--owner", "ann", "--yes")
    assert again.exit_code == 1
    assert "no owner 'ann'" in again.stderr
    verified = stored.run("spine", "verify", "--owner", said["owner"])
    assert verified.exit_code == 0, verified.output
    assert stored.doctor(exit_code=0) == []


@pytest.mark.parametrize(
    "options", [["--instance", "x"], ["--stream", "x"], ["--key", "x"], ["--connector", "x", "--key", "y"]]
)
def test_options_that_narrow_need_what_they_narrow(stored: Stored, options: list[str]) -> None:
    result = stored.run("erase", "--owner", "ann", *options)
    assert result.exit_code == 2
    assert "need" in result.stderr
