"""Staging: bytes are hashed as they come, and what a dead process left is known at once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

import pytest

from blobstore.digest import Hasher
from blobstore.errors import StorageUnavailable
from blobstore.resumable.file import ResumedFile
from blobstore.staged import ALIGNED
from blobstore.staging import Staging
from tests.fakes.descriptors import descriptors

LEASE = "1" * 32
OTHER = "2" * 32


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "staging"


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# -- one file ----------------------------------------------------------------------------------------------------------


def test_what_is_appended_is_on_disk_and_hashed(root: Path, rng: random.Random) -> None:
    staging = Staging.open(root)
    file = staging.create(LEASE)
    pieces = [rng.randbytes(rng.randrange(3000)) for _ in range(1500)] + [b"", b"x"]
    for start in range(0, len(pieces), 700):
        file.append(pieces[start : start + 700])
    hasher = Hasher()
    hasher.update(b"".join(pieces))
    assert file.seal() == hasher.finish()
    assert file.size == hasher.size
    assert file.path.read_bytes() == b"".join(pieces)
    file.discard()


def test_what_is_taken_is_hashed_at_once_and_written_when_the_file_is_made_durable(root: Path) -> None:
    file = Staging.open(root).create(LEASE)
    hasher = Hasher()
    hasher.update(b"one two three")
    file.append([b"one "])
    file.take(b"two ")
    file.take(b"three")
    assert file.path.read_bytes() == b"one "
    assert file.content() == hasher.finish()
    file.sync()
    assert file.path.read_bytes() == b"one two three"
    file.discard()


@pytest.fixture(params=["memory", "disk", "power"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder of a file system of this kind: not all of them have a way past the cache."""
    if request.param == "power":
        yield request.getfixturevalue("disk").path
    elif request.param == "memory":
        yield tmp_path
    else:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            yield Path(folder)


@pytest.mark.parametrize("rest", [0, 1, ALIGNED, ALIGNED + 1])
def test_bytes_that_go_past_the_cache_are_the_same(medium: Path, rng: random.Random, rest: int) -> None:
    """Also where there is no such way, and where the end is no whole block."""
    root = medium / "staging"
    file = Staging.open(root).create(LEASE, direct=True)
    memory = memoryview(mmap(-1, 1 << 20))
    written = b""
    for size in (1 << 20, 1 << 20, rest):
        memory[:size] = rng.randbytes(size)
        file.hash(memory[:size])
        file.write(memory[:size])
        written += memory[:size]
    hasher = Hasher()
    hasher.update(written)
    assert file.seal() == hasher.finish()
    assert file.path.read_bytes() == written
    file.discard()


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("offset", [0, 1 << 20, (1 << 20) + 5])
def test_a_file_that_is_gone_on_with_past_the_cache_is_whole(
    medium: Path, rng: random.Random, offset: int, hashed: bool
) -> None:
    """Wherever it goes on, and where its beginning has to be read again."""
    path = medium / "staged"
    written = rng.randbytes(3 << 20) + b"the end"
    path.write_bytes(written[:offset] + b"what was not durable")
    hasher = Hasher()
    if hashed:
        hasher.update(written[:offset])
    file = ResumedFile(path, offset, hasher, direct=True)
    memory = memoryview(mmap(-1, 1 << 20))
    for start in range(offset, len(written), len(memory)):
        piece = written[start : start + len(memory)]
        memory[: len(piece)] = piece
        file.hash(memory[: len(piece)])
        file.write(memory[: len(piece)])
    file.sync()
    whole = Hasher()
    whole.update(written)
    assert file.content() == whole.finish()
    assert path.read_bytes() == written
    file.discard()


def test_a_staged_file_is_its_owners_alone(root: Path) -> None:
    file = Staging.open(root).create(LEASE)
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_one_lease_has_one_file(root: Path) -> None:
    staging = Staging.open(root)
    staging.create(LEASE)
    with pytest.raises(StorageUnavailable):
        staging.create(LEASE)


def test_discarding_removes_the_file_and_closes_it(root: Path) -> None:
    staging = Staging.open(root)
    before = descriptors()
    file = staging.create(LEASE)
    file.append([b"data"])
    file.discard()
    file.discard()
    assert list(staging.files()) == []
    assert not descriptors() - before


def test_discard_is_harmless_after_the_file_was_linked_or_moved(root: Path, tmp_path: Path) -> None:
    staging = Staging.open(root)
    linked, moved = staging.create(LEASE), staging.create(OTHER)
    (tmp_path / "linked").hardlink_to(linked.path)
    moved.path.rename(tmp_path / "moved")
    for file in (linked, moved):
        file.discard()
    assert (tmp_path / "linked").exists()
    assert (tmp_path / "moved").exists()


def test_a_write_that_fails_is_told(root: Path) -> None:
    file = Staging.open(root).create(LEASE)
    read_only = os.open(file.path, os.O_RDONLY)
    assert file._descriptor is not None
    os.dup2(read_only, file._descriptor)
    with pytest.raises(StorageUnavailable):
        file.append([b"data"])
    os.close(read_only)


# -- processes ---------------------------------------------------------------------------------------------------------

CHILD = """
import sys, time
from pathlib import Path
from blobstore.staging import Staging

staging = Staging.open(Path(sys.argv[1]))
staging.create(sys.argv[2]).append([b"data"])
print(staging.process, flush=True)
time.sleep(60)
"""


def child(root: Path, lease: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(root), lease], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_killed_process_is_dead_at_once_and_a_living_one_is_not(root: Path) -> None:
    staging = Staging.open(root)
    process, name = child(root, LEASE)
    assert staging.dead() == []
    assert list(staging.files()) == [(name, LEASE, 4)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert staging.dead() == [name]
    assert list(staging.files()) == [(name, LEASE, 4)]


def test_a_dead_process_is_buried_once_its_files_are_gone(root: Path) -> None:
    staging = Staging.open(root)
    process, name = child(root, LEASE)
    process.kill()
    process.wait()
    staging.bury(name)
    assert staging.dead() == [name]
    staging.remove(name, LEASE)
    staging.remove(name, LEASE)
    staging.bury(name)
    staging.bury(name)
    assert staging.dead() == []
    assert entries(root) == [staging.process]


def test_a_named_process_that_has_no_folder_any_more_is_dead(root: Path) -> None:
    staging, other = Staging.open(root), Staging.open(root)
    gone = Staging.open(root)
    gone.close()
    assert staging.dead([staging.process, other.process, gone.process]) == [gone.process]


def test_a_living_process_is_not_buried(root: Path) -> None:
    staging, other = Staging.open(root), Staging.open(root)
    staging.bury(other.process)
    other.create(LEASE)
    assert staging.dead() == []


def test_closing_gives_the_folder_up(root: Path) -> None:
    staging = Staging.open(root)
    staging.close()
    staging.close()
    assert entries(root) == []


def test_closing_with_a_file_left_leaves_it_to_others(root: Path) -> None:
    first, second = Staging.open(root), Staging.open(root)
    first.create(LEASE)
    first.close()
    assert second.dead() == [first.process]
    assert list(second.files()) == [(first.process, LEASE, 0)]


def test_many_that_open_and_close_at_once_never_take_a_living_one_for_dead(root: Path) -> None:
    witness = Staging.open(root)
    wrong: list[str] = []
    stop = threading.Event()

    def come_and_go() -> None:
        for _ in range(40):
            staging = Staging.open(root)
            staging.create(LEASE).discard()
            if staging.process in witness.dead():
                wrong.append(staging.process)
            staging.close()

    def collect() -> None:
        while not stop.is_set():
            for process in witness.dead():
                witness.bury(process)

    collector = threading.Thread(target=collect)
    collector.start()
    visitors = [threading.Thread(target=come_and_go) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    stop.set()
    collector.join()
    assert wrong == []
    assert entries(root) == [witness.process]


def test_what_is_foreign_in_the_staging_folder_is_no_debris(root: Path, tmp_path: Path) -> None:
    staging = Staging.open(root)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / LEASE).write_bytes(b"data")
    (root / "folder").mkdir()
    (root / "folder" / LEASE).write_bytes(b"data")
    (root / ("a" * 16)).symlink_to(tmp_path / "elsewhere")
    (root / staging.process / "notes").write_bytes(b"data")
    assert list(staging.files()) == []
    assert staging.dead() == []
    staging.close()
    assert entries(root) == sorted(["folder", "a" * 16, staging.process])


# -- hosts -------------------------------------------------------------------------------------------------------------


def test_processes_of_one_folder_are_on_one_host_whose_name_stays(root: Path) -> None:
    first, second = Staging.open(root), Staging.open(root)
    assert first.host == second.host
    assert first.process.startswith(f"{first.host}-")
    first.close()
    second.close()
    assert Staging.open(root).host == first.host


def test_another_folder_is_another_host_also_when_it_was_copied(root: Path, tmp_path: Path) -> None:
    staging = Staging.open(root)
    shutil.copytree(tmp_path, tmp_path / "copy")
    copied = Staging.open(tmp_path / "copy" / "staging")
    assert copied.host != staging.host
    assert Staging.open(root).host == staging.host
    assert Staging.open(tmp_path / "copy" / "staging").host == copied.host


@pytest.mark.parametrize("text", ["", "x" * 16, "0" * 16, "0" * 16 + " 1"])
def test_a_host_file_that_says_nothing_is_made_anew(root: Path, text: str) -> None:
    (root.parent / "host").write_text(text)
    staging = Staging.open(root)
    assert staging.host not in text
    assert Staging.open(root).host == staging.host


def test_of_other_hosts_nobody_is_taken_for_dead(root: Path, tmp_path: Path) -> None:
    staging, elsewhere = Staging.open(root), Staging.open(tmp_path / "elsewhere" / "staging")
    gone = Staging.open(root)
    gone.close()
    assert staging.dead([elsewhere.process, gone.process]) == [gone.process]
    elsewhere.close()
    assert staging.dead([elsewhere.process]) == []
    staging.remove(elsewhere.process, LEASE)


def test_folders_that_lie_here_are_judged_whatever_host_they_were_made_by(root: Path) -> None:
    process, name = child(root, LEASE)
    (root.parent / "host").unlink()
    staging = Staging.open(root)
    assert staging.dead() == []
    process.kill()
    process.wait()
    assert staging.dead() == [name]
