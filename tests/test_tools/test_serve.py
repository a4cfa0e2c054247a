"""`serve` and the other commands on directories that are damaged, and at addresses that cannot be had."""

import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from records.store import RecordStore
from tests.fakes.data_directory import Stored
from tools.cli import main

HYDRATE = ("hydrate", "slack", ".", "--owner", "ann", "--no-download")
PARTS = ["secret", "central.db", "catalogue.db", "store-id"]


@pytest.fixture
def data(template: Stored, tmp_path: Path) -> Path:
    shutil.copytree(template.data, tmp_path / "data")
    return tmp_path / "data"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def assert_told(result: Result, message: str) -> None:
    assert (result.exit_code, message in result.output) == (1, True), result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("gc", "--grace", "0"), ("token", "list")])
def test_a_part_that_is_gone_is_not_replaced_by_an_empty_one(data: Path, part: str, command: tuple[str, ...]) -> None:
    (data / part).unlink()
    assert_told(run(*command, "--data", data), part)
    assert not (data / part).exists()


@pytest.mark.parametrize("command", ["usage", "explain", "backup"])
def test_who_only_looks_is_told_what_is_wrong_with_a_part(data: Path, tmp_path: Path, command: str) -> None:
    arguments: dict[str, list[str | Path]] = {
        "usage": [],
        "explain": ["blob_b3_" + "0" * 64],
        "backup": [tmp_path / "out"],
    }
    (data / "secret").write_bytes(b"")
    assert_told(run(command, *arguments[command], "--data", data), "secret: it is empty")
    (data / "restoring").touch()
    assert_told(run(command, *arguments[command], "--data", data), "run `blobstore restore` again")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('min-free = "1TiB"', "`min-free` is no option of `blobstore serve`; do you mean `min_free`?"),
        ("max_upload = 5", "do you mean `max_uploads`?"),
        ('[serve]\nhost = "::1"', "`serve` is no option of `blobstore serve`"),
        ("ledger = 5", "ledger must be a text"),
    ],
)
def test_a_configuration_that_would_not_be_obeyed_is_refused(data: Path, line: str, message: str) -> None:
    path = data / "blobstore.toml"
    path.write_text((path.read_text() if path.exists() else "") + line + "\n")
    assert_told(run("serve", "--data", data, "--port", "0"), message)


STEPS = [
    ("records.store.Keyring.open", 0),
    ("records.centre.SqliteCentral.open", 1),
    ("records.centre.SqliteCatalogue.open", 2),
    ("records.store.BlobStore.open", 3),
    ("blobstore.store.mark", 3),
    ("blobstore.backends.where.FilesystemBackend", 4),
    ("records.store.require_agreement", 4),
    ("records.store.FollowingLedger.open", 4),
]


@pytest.mark.parametrize(("step", "made"), STEPS)
async def test_a_directory_whose_making_was_cut_off_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, made: int
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    begun = tmp_path / "begun"
    with monkeypatch.context() as patch:
        patch.setattr(step, die)
        with pytest.raises(Killed):
            await RecordStore.open(begun)
    assert [part for part in PARTS if (begun / part).exists()] == PARTS[:made]
    store = await RecordStore.open(begun)
    await store.close()
    assert (begun / "blobs").is_dir()


def test_what_is_left_of_a_directory_is_not_completed_with_an_empty_catalogue(data: Path) -> None:
    shutil.rmtree(data / "blobs")
    for part in ("catalogue.db", "store-id"):
        (data / part).unlink()
    assert_told(run("gc", "--grace", "0", "--data", data), "central.db is another store's")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_is_taken_is_told_in_a_line(data: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        result = run("serve", "--data", data, "--port", port, "--workers", workers)
    assert_told(result, f"Error: 127.0.0.1:{port} is already in use: choose another by --port")


@pytest.mark.parametrize("host", ["192.0.2.1", "no..host"])
def test_a_host_that_is_not_ours_is_told_in_a_line(data: Path, host: str) -> None:
    assert_told(run("serve", "--data", data, "--port", "0", "--host", host), "Error: ")


def test_a_port_that_is_none_is_a_wrong_option(data: Path) -> None:
    assert run("serve", "--data", data, "--port", "65536").exit_code == 2


def test_a_damaged_database_is_told_in_a_line(data: Path) -> None:
    (data / "central.db").write_bytes(b"no database" * 100)
    assert_told(run("serve", "--data", data, "--port", "0"), "central.db: file is not a database")


def test_a_configuration_that_cannot_be_read_is_told_in_a_line(data: Path) -> None:
    (data / "blobstore.toml").unlink(missing_ok=True)
    (data / "blobstore.toml").mkdir()
    assert_told(run("usage", "--data", data), "blobstore.toml cannot be read")


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("usage",), ("gc",), HYDRATE])
def test_a_directory_that_cannot_be_written_to_is_told_in_a_line(data: Path, command: tuple[str, ...]) -> None:
    (data / "blobstore.lock").unlink(missing_ok=True)
    (data / "blobstore.lock").mkdir()
    assert_told(run(*command, "--data", data), "blobstore.lock")


@pytest.mark.parametrize("owner", ["", " ", "a\nb", "x" * 513])
def test_what_is_no_name_is_no_owner(data: Path, owner: str) -> None:
    assert_told(run("token", "create", "--data", data, "--owner", owner), "owner")


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("gc", "--grace", "0"), ("usage",)])
def test_records_that_are_gone_are_not_replaced_by_none(data: Path, command: tuple[str, ...], at_rest: None) -> None:
    blobs = sorted(data.glob("blobs/*/*/*/*"))
    for file in data.glob("records/*.db*"):
        file.unlink()
    assert_told(run(*command, "--data", data), "are missing; restore them from a backup")
    assert not list(data.glob("records/*.db"))
    assert sorted(data.glob("blobs/*/*/*/*")) == blobs
    assert "missing_part" in run("doctor", "--data", data).output


@pytest.mark.parametrize("option", [("serve", "--drain"), ("serve", "--drain-delay"), ("gc", "--max-share")])
@pytest.mark.parametrize("number", ["nan", "inf", "-1", "x"])
def test_what_is_no_number_is_refused(stored: Stored, option: tuple[str, str], number: str) -> None:
    result = stored.run(*option, number)
    assert (result.exit_code, f"Invalid value for '{option[1]}'" in result.stderr) == (2, True)


def test_a_name_that_was_mistyped_is_noticed_by_what_makes_a_new_directory(data: Path, tmp_path: Path) -> None:
    mistyped = tmp_path / "dtaa"
    made = run("token", "create", "--data", mistyped, "--owner", "ann")
    assert made.exit_code == 0
    assert made.stderr == f"{mistyped} is no data directory yet: a new one is made\n"
    assert made.stdout.startswith("bst_")
    for there in (mistyped, data):
        again = run("token", "create", "--data", there, "--owner", "ann")
        assert (again.exit_code, again.stderr) == (0, "")
    assert_told(run("token", "list", "--data", tmp_path / "adta"), "is no data directory")
    assert not (tmp_path / "adta").exists()
