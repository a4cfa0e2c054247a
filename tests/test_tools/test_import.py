"""`blobstore import`."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from records.store import RecordStore
from tests.fakes import data_directory
from tests.fakes.bags import files_of, fill, unpacked, zip_of
from tests.fakes.data_directory import Stored, in_store
from tests.fakes.warm import launch
from tools.cli import main

pytestmark = pytest.mark.usefixtures("at_rest")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was exported of an owner called ann."""
    folder = tmp_path_factory.mktemp("exported")

    async def make(store: RecordStore) -> None:
        await fill(store, await store.access.owner("ann"))

    in_store(folder / "data", make)
    assert run("export", "--data", str(folder / "data"), "--owner", "ann", str(folder / "ann.tar")).exit_code == 0
    return folder / "ann.tar"


def run(*arguments: str, input: bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=input, catch_exceptions=False)


def exported(data: Path, owner: str) -> bytes:
    result = run("export", "--data", str(data), "--owner", owner, "-")
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def doctor(data: Path) -> str:
    result = run("doctor", "--data", str(data), "--deep")
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", ["file", "folder", "standard input", "zip"])
def test_a_bag_comes_into_a_new_directory(archive: Path, tmp_path: Path, form: str) -> None:
    data = tmp_path / "new"
    files = files_of(archive.read_bytes())
    bag = str(archive)
    match form:
        case "folder":
            bag = str(unpacked(archive.read_bytes(), tmp_path))
        case "standard input":
            bag = "-"
        case "zip":
            bag = str(tmp_path / "bag.zip")
            (tmp_path / "bag.zip").write_bytes(zip_of(files))
    result = run("import", "--data", str(data), "--owner", "bob", bag, input=archive.read_bytes())
    assert result.exit_code == 0, result.output
    assert "68 records" in result.output
    assert exported(data, "bob") == archive.read_bytes()
    doctor(data)


def test_what_is_refused_leaves_nothing_and_says_why(archive: Path, tmp_path: Path) -> None:
    data = tmp_path / "new"
    (tmp_path / "cut.tar").write_bytes(archive.read_bytes()[:-30_000])
    result = run("import", "--data", str(data), "--owner", "bob", str(tmp_path / "cut.tar"))
    assert result.exit_code == 1
    assert "the bag is refused: " in result.output
    result = run("import", "--data", str(data), "--owner", "bob", "--limit", "1000", "-", input=archive.read_bytes())
    assert "--limit" in result.output
    assert run("import", "--data", str(data), "--owner", "bob", str(tmp_path / "none.tar")).exit_code == 1
    assert not list((data / "records").glob("*.db"))
    assert "no owner" in run("export", "--data", str(data), "--owner", "bob", "-").output
    doctor(data)


def test_a_new_directory_gets_one_connector(archive: Path, tmp_path: Path) -> None:
    result = run("import", "--data", str(tmp_path / "new"), "--owner", "bob", "--connector", "chat", str(archive))
    assert "imported chat: 17 records" in result.output
    arguments = ("import", "--data", str(tmp_path / "new"), "--owner", "rob", "--connector", "chat", str(archive))
    assert run(*arguments, "--instance", "chat-one=else").exit_code == 0
    assert b"data/records/chat/else/" in exported(tmp_path / "new", "rob")
    for wrong in ("chat-one", "=x", "chat-one="):
        assert run(*arguments, "--instance", wrong).exit_code == 2


@pytest.mark.long
def test_an_import_that_is_killed_again_and_again_ends_as_if_it_never_was(
    archive: Path, tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    data = tmp_path / "new"
    command = ("tools", "import", "--owner", "bob", archive, "--data")
    started = time.monotonic()
    launch(forks, *command, tmp_path / "whole").end()
    length = time.monotonic() - started
    killed = 0
    for _ in range(sized(4, 100)):
        process = launch(forks, *command, data)
        try:
            process.wait(rng.uniform(0.1, 1.0) * length)
        except TimeoutError:
            process.killed()
            killed += 1
    launch(forks, *command, data).end()
    assert killed > 0
    assert exported(data, "bob") == archive.read_bytes()
    assert run("gc", "--data", str(data), "--grace", "1s").exit_code == 0
    assert exported(data, "bob") == archive.read_bytes()
    doctor(data)


def test_a_bag_into_a_directory_that_has_other_owners(archive: Path, tmp_path: Path) -> None:
    stored: Stored = data_directory.make(tmp_path / "data")
    before = exported(stored.data, "ann")
    assert stored.run("import", "--owner", "bobby", str(archive)).exit_code == 0
    assert exported(stored.data, "ann") == before
    assert exported(stored.data, "bobby") == archive.read_bytes()
    doctor(stored.data)
