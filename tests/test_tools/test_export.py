"""`blobstore export`."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from records.store import RecordStore
from tests.fakes import data_directory
from tests.fakes.bags import files_of
from tests.fakes.data_directory import LETTER, Stored, digest_of, in_store


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return data_directory.make(tmp_path / "data")


def test_an_export_is_a_file_that_the_public_tools_read(stored: Stored, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    result = stored.run("export", "--owner", "ann", str(out))
    assert result.exit_code == 0, result.output
    subprocess.run(["tar", "xf", out, "-C", tmp_path], check=True)
    command: list[str | Path] = [Path(sys.executable).with_name("bagit.py"), "--validate", tmp_path / "export"]
    validated = subprocess.run(command, capture_output=True, text=True)
    assert validated.returncode == 0, validated.stderr
    assert "is valid" in validated.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"data", "export", "out.tar"}


def test_the_archive_may_go_to_standard_output(stored: Stored, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    stored.run("export", "--owner", "ann", str(out))
    result = stored.run("export", "--owner", "ann", "--connector", "files", "-")
    assert result.exit_code == 0
    assert result.stdout_bytes == out.read_bytes()
    assert files_of(result.stdout_bytes)[f"data/blobs/{digest_of(LETTER).hex[:2]}/{digest_of(LETTER).hex}"] == LETTER


def test_a_zip_archive_is_the_same_bag_and_always_the_same_bytes(stored: Stored, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        assert stored.run("export", "--owner", "ann", str(tmp_path / name)).exit_code == 0
    made = (tmp_path / "one.zip").read_bytes()
    assert made == (tmp_path / "two.zip").read_bytes()
    tar = stored.run("export", "--owner", "ann", "-").stdout_bytes
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.testzip() is None
        assert {info.filename.removeprefix("export/"): archive.read(info) for info in archive.infolist()} == files_of(
            tar
        )


def test_nothing_is_replaced_and_nothing_half_is_left(stored: Stored, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    out.write_bytes(b"mine")
    assert "already" in stored.run("export", "--owner", "ann", str(out)).output
    assert out.read_bytes() == b"mine"
    file = stored.file(LETTER)
    file.chmod(0o600)
    file.write_bytes(b"A letter")
    result = stored.run("export", "--owner", "ann", str(tmp_path / "other.tar"))
    assert result.exit_code == 1
    assert digest_of(LETTER).hex in result.output
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == ["out.tar"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--owner", "nobody", "x.tar"], "no owner"),
        (["--owner", "ann", "--connector", "nobody", "x.tar"], "no such connector"),
        (["--owner", "ann", "x.rar"], "ends in .tar or .zip"),
    ],
)
def test_what_cannot_be_is_told(stored: Stored, options: list[str], message: str) -> None:
    result = stored.run("export", *options)
    assert result.exit_code != 0
    assert message in result.output


def test_an_export_that_is_killed_leaves_nothing_that_a_collection_does_not_find(stored: Stored) -> None:
    command: list[str | Path] = [sys.executable, "-m", "tools", "export", "--data", stored.data, "--owner", "ann", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)  # it is sending; the rest does not fit into the pipe
        process.kill()
    assert process.returncode < 0
    assert not [path for path in (stored.data / "staging").rglob("*") if path.is_file() and path.name != "lock"]
    assert stored.run("gc", "--grace", "1d").exit_code == 0
    assert list((stored.data / "staging").iterdir()) == []
    assert stored.kinds(exit_code=0) == []


@pytest.mark.parametrize("out", ["x.rar", "nowhere/x.tar", "there.tar"])
def test_what_can_be_written_nowhere_is_not_told_as_taken_away(stored: Stored, tmp_path: Path, out: str) -> None:
    (tmp_path / "there.tar").touch()
    assert stored.run("export", "--owner", "ann", str(tmp_path / out)).exit_code != 0

    async def events(store: RecordStore) -> list[bytes]:
        owner = await store.access.owner("ann")
        return [event.body for event in await store.central.spine(owner.id, 0, 1000)]

    assert not [each for each in in_store(stored.data, events) if b'"kind":"export"' in each]


def test_a_receipt_that_can_be_written_nowhere_leaves_no_archive(stored: Stored, tmp_path: Path) -> None:
    receipt = str(tmp_path / "nowhere" / "receipt.json")
    assert stored.run("export", "--owner", "ann", "--receipt", receipt, str(tmp_path / "out.tar")).exit_code == 1
    assert not (tmp_path / "out.tar").exists()


def test_an_export_is_on_the_spine(stored: Stored, tmp_path: Path) -> None:
    printed = stored.run("export", "--owner", "ann", "--connector", "files", str(tmp_path / "out.tar")).output
    bag = printed.split()[-1]
    events = stored.run("spine", "verify", "--owner", "ann").output
    assert "error" not in events.lower()
    with data_directory.vandal(stored.data / "central.db") as db:
        bodies = [bytes(body).decode() for (body,) in db.execute("SELECT body FROM spine")]
    assert any(bag in body and '"kind":"export"' in body and '"connectors":["files"]' in body for body in bodies)


def test_a_receipt_and_the_audit_log_are_checked_with_the_programs_own_commands(stored: Stored, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    arguments = ("export", "--owner", "ann", "--spine", "--receipt", str(receipt), str(tmp_path / "out.tar"))
    assert stored.run(*arguments).exit_code == 0
    assert stored.run("spine", "verify", "--owner", "ann", "--checkpoint", str(receipt)).exit_code == 0
    files = files_of((tmp_path / "out.tar").read_bytes())
    (tmp_path / "checkpoint.json").write_bytes(files["data/spine-checkpoint.json"])
    kept = str(tmp_path / "checkpoint.json")
    assert stored.run("spine", "verify", "--owner", "ann", "--checkpoint", kept).exit_code == 0
    receipt.write_bytes(receipt.read_bytes().replace(b"bag_b3_", b"bag_b4_"))
    assert stored.run("spine", "verify", "--owner", "ann", "--checkpoint", str(receipt)).exit_code == 2
