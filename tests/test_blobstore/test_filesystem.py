"""The filesystem backend, looked at behind its back."""

import errno
import os
import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from blobstore.backend import ForeignObject, ObjectName
from blobstore.backends.filesystem import APART, FilesystemBackend
from blobstore.digest import Digest
from blobstore.errors import BlobNotFound, StorageUnavailable
from tests.conformance.backend_suite import digest_of, listed, name_of, read_all
from tests.fakes.descriptors import descriptors
from tests.fakes.warm import launch

HEX = "abcd" + "0" * 60
NAME = ObjectName("owner1", Digest(HEX), "1" * 32)
PLACE = f"owner1/ab/cd/{HEX}.{'1' * 32}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def backend(root: Path) -> FilesystemBackend:
    return FilesystemBackend(root)


@pytest.fixture
def staged(tmp_path: Path) -> Callable[[bytes], Path]:
    numbers = iter(range(1_000_000))

    def stage(data: bytes) -> Path:
        path = tmp_path / f"staged{next(numbers)}"
        path.write_bytes(data)
        return path

    return stage


Stage = Callable[[bytes], Path]


def write_behind(root: Path, place: str, data: bytes = b"data") -> Path:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# -- the files ---------------------------------------------------------------------------------------------------------


def test_the_file_is_where_the_documentation_says(backend: FilesystemBackend, root: Path, staged: Stage) -> None:
    backend.publish(NAME, staged(b"some data"))
    assert (root / PLACE).read_bytes() == b"some data"


def test_a_file_written_behind_its_back_is_read_and_listed(backend: FilesystemBackend, root: Path) -> None:
    write_behind(root, PLACE, b"some data")
    assert read_all(backend, NAME) == b"some data"
    assert listed(backend) == {NAME: 9}


def test_files_are_readable_by_their_owner_alone_and_by_nobody_writable(
    backend: FilesystemBackend, root: Path, staged: Stage
) -> None:
    backend.publish(NAME, staged(b"data"))
    assert stat.S_IMODE((root / PLACE).stat().st_mode) == 0o400
    for folder in (root, root / "owner1", root / "owner1/ab", root / "owner1/ab/cd"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_removing_the_last_file_removes_the_empty_folders_and_no_others(
    backend: FilesystemBackend, root: Path, staged: Stage
) -> None:
    neighbour = ObjectName("owner1", Digest("abce" + "0" * 60), "1" * 32)
    backend.publish(NAME, staged(b"data"))
    backend.publish(neighbour, staged(b"data"))
    backend.remove([NAME])
    assert sorted(path.name for path in (root / "owner1/ab").iterdir()) == ["ce"]
    backend.remove([neighbour])
    assert list(root.iterdir()) == []


def test_many_are_removed_side_by_side_and_others_stay(
    backend: FilesystemBackend, root: Path, staged: Stage, rng: random.Random
) -> None:
    names = [
        ObjectName("owner1", Digest(f"{number % 40:04x}" + rng.randbytes(30).hex()), "1" * 32)
        for number in range(3 * APART)
    ]
    for name in names:
        backend.publish(name, staged(b"data"))
    backend.remove(names[1:])
    assert listed(backend) == {names[0]: 4}
    assert sorted(path.name for path in (root / "owner1").iterdir()) == ["00"]
    backend.remove(names)
    assert list(root.iterdir()) == []


def test_removing_again_clears_folders_that_a_killed_removal_left(backend: FilesystemBackend, root: Path) -> None:
    (root / "owner1/ab/cd").mkdir(parents=True)
    backend.remove([NAME])
    assert list(root.iterdir()) == []
    (root / "owner1/ab").mkdir(parents=True)
    backend.remove([NAME])
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        ObjectName("..", Digest(HEX), "1" * 32),
        ObjectName("", Digest(HEX), "1" * 32),
        ObjectName("Owner", Digest(HEX), "1" * 32),
        ObjectName("a/b", Digest(HEX), "1" * 32),
        ObjectName("owner\n", Digest(HEX), "1" * 32),
        ObjectName("owner", Digest(HEX), "../../x"),
        ObjectName("owner", Digest(HEX), "1" * 31),
    ],
    ids=repr,
)
def test_a_name_that_would_be_foreign_is_refused(backend: FilesystemBackend, staged: Stage, name: ObjectName) -> None:
    for call in (lambda: backend.publish(name, staged(b"x")), lambda: backend.open(name), lambda: backend.size(name)):
        with pytest.raises(ValueError, match="namespace"):
            call()
    with pytest.raises(ValueError, match="namespace"):
        backend.remove([name])
    assert list(backend.list()) == []


# -- what is not ours --------------------------------------------------------------------------------------------------


def test_what_no_name_explains_is_listed_as_foreign_and_left_alone(backend: FilesystemBackend, root: Path) -> None:
    foreign = {
        "README": 4,
        "lost+found": 0,
        "Owner": 0,
        "owner1/notes.txt": 4,
        "owner1/abc": 0,
        "owner1/ab/xy": 0,
        "owner1/ab/cd/x": 4,
        f"owner1/ab/cd/{HEX}": 4,
        f"owner1/ab/cd/{HEX}.{'1' * 31}": 4,
        f"owner1/ab/cd/{HEX}.{'1' * 32}.bak": 4,
        f"owner1/ab/cd/{HEX.upper()}.{'1' * 32}": 4,
        f"owner1/ab/ce/{HEX}.{'1' * 32}": 4,  # the wrong fan-out
        f"owner1/ab/cd/{HEX}.{'2' * 32}": 0,  # a folder with a file's name
        "owner1/ab/cd/pipe": 0,
    }
    write_behind(root, PLACE)
    for place, size in foreign.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if place.endswith("pipe"):
            os.mkfifo(path)
        elif size:
            path.write_bytes(b"data")
        else:
            path.mkdir()
    write_behind(root, "lost+found/inside", b"data")
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    found = list(backend.list())
    assert [entry for entry in found if not isinstance(entry, ForeignObject)] == [(NAME, 4)]
    assert {each.where: each.size for each in found if isinstance(each, ForeignObject)} == foreign
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == before


def test_a_name_that_is_no_text_is_shown_all_the_same(backend: FilesystemBackend, root: Path) -> None:
    (root / os.fsdecode(b"\xff\xfe")).write_bytes(b"data")
    assert list(backend.list()) == [ForeignObject("\\xff\\xfe", 4)]


@pytest.mark.parametrize("step", ["owner1", "owner1/ab", "owner1/ab/cd", PLACE])
def test_a_symbolic_link_is_never_followed(
    backend: FilesystemBackend, root: Path, tmp_path: Path, staged: Stage, step: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    outside = write_behind(elsewhere, PLACE)
    link = root / step
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere / step)
    with pytest.raises(BlobNotFound):
        backend.open(NAME)
    assert backend.size(NAME) is None
    backend.remove([NAME])
    assert list(backend.list()) == [ForeignObject(step, 0)]
    with pytest.raises((StorageUnavailable, FileExistsError)):
        backend.publish(NAME, staged(b"new"))
    assert outside.read_bytes() == b"data"
    assert link.is_symlink()


def test_something_foreign_under_a_blobs_name_is_not_removed(backend: FilesystemBackend, root: Path) -> None:
    (root / PLACE).mkdir(parents=True)
    backend.remove([NAME])
    assert (root / PLACE).is_dir()
    with pytest.raises(BlobNotFound):
        backend.open(NAME)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_root_that_is_gone_is_no_empty_store(backend: FilesystemBackend, root: Path, staged: Stage) -> None:
    root.rmdir()
    calls: list[Callable[[], object]] = [
        lambda: backend.publish(NAME, staged(b"data")),
        lambda: backend.open(NAME),
        lambda: backend.size(NAME),
        lambda: backend.remove([NAME]),
        lambda: list(backend.list()),
    ]
    for call in calls:
        with pytest.raises(StorageUnavailable):
            call()
    assert not root.exists()


def test_a_store_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        FilesystemBackend(tmp_path / "not" / "there")


def test_a_reader_that_is_closed_reads_nothing(backend: FilesystemBackend, staged: Stage) -> None:
    backend.publish(NAME, staged(b"data"))
    reader = backend.open(NAME)
    reader.close()
    with pytest.raises(StorageUnavailable):
        reader.read(0, 4)


def test_listing_that_is_given_up_closes_what_it_opened(backend: FilesystemBackend, staged: Stage) -> None:
    for number in range(5):
        backend.publish(name_of(b"%d" % number), staged(b"data"))
    before = descriptors()
    listing = backend.list()
    next(listing)
    listing.close()  # type: ignore[attr-defined]  # a generator, as the port's iterators may be
    assert not descriptors() - before


def test_no_call_leaves_a_descriptor_open(backend: FilesystemBackend, staged: Stage) -> None:
    before = descriptors()
    path = staged(b"data")
    backend.publish(NAME, path)
    for failing in (lambda: backend.publish(NAME, path), lambda: backend.open(name_of(b"never"))):
        with pytest.raises((FileExistsError, BlobNotFound)):
            failing()
    backend.size(NAME)
    backend.open(NAME).close()
    list(backend.list())
    backend.remove([NAME, name_of(b"never")])
    assert not descriptors() - before


# -- file systems without hard links -----------------------------------------------------------------------------------


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As FAT answers: the call is not permitted there."""

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("without_links")
def test_without_hard_links_the_file_is_moved(backend: FilesystemBackend, root: Path, staged: Stage) -> None:
    path = staged(b"data")
    backend.publish(NAME, path)
    assert (root / PLACE).read_bytes() == b"data"
    assert not path.exists()


@pytest.mark.usefixtures("without_links")
def test_without_hard_links_nothing_is_replaced_either(backend: FilesystemBackend, staged: Stage) -> None:
    backend.publish(NAME, staged(b"first"))
    with pytest.raises(FileExistsError):
        backend.publish(NAME, staged(b"other"))
    assert read_all(backend, NAME) == b"first"


@pytest.mark.usefixtures("without_links")
def test_without_hard_links_a_missing_staged_file_is_told(backend: FilesystemBackend, staged: Stage) -> None:
    path = staged(b"data")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        backend.publish(NAME, path)
    assert list(backend.list()) == []


# -- at once -----------------------------------------------------------------------------------------------------------

WORKER = """
import sys
from pathlib import Path
from blobstore.backend import ObjectName
from blobstore.backends.filesystem import FilesystemBackend
from blobstore.digest import Digest

root, worker, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
backend = FilesystemBackend(root)
for number in range(rounds):
    name = ObjectName("owner1", Digest("ab" * 32), f"{worker:016x}{number:016x}")
    staged = root.parent / f"staged{worker}"
    staged.write_bytes(b"data")
    backend.publish(name, staged)
    staged.unlink()
    assert backend.size(name) == 4
    backend.remove([name])
    assert backend.size(name) is None
"""


def test_processes_that_publish_and_remove_in_one_folder_never_lose_each_others_folder(
    root: Path, forks: Path, sized: Callable[[int, int], int]
) -> None:
    """Each removal leaves the fan-out folder empty for a moment: it goes while others are about to publish in it."""
    FilesystemBackend(root)
    workers = [launch(forks, "-c", WORKER, root, number, sized(150, 5000)) for number in range(3)]
    assert [worker.end() for worker in workers] == ["", "", ""]
    assert list(root.iterdir()) == []


def test_threads_that_make_the_same_folder_all_publish(root: Path, staged: Stage) -> None:
    backend = FilesystemBackend(root)
    for attempt in range(20):
        names = [ObjectName("owner1", Digest(f"{attempt:064x}"), f"{number:032x}") for number in range(8)]
        paths = [staged(b"data") for _ in names]
        start = threading.Barrier(len(names))

        def publish(
            name: ObjectName, path: Path, start: threading.Barrier = start, backend: FilesystemBackend = backend
        ) -> None:
            start.wait()
            backend.publish(name, path)

        threads = [threading.Thread(target=publish, args=each) for each in zip(names, paths, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert listed(backend) == dict.fromkeys(names, 4)
        backend.remove(names)


def test_the_digest_of_a_name_is_not_checked_by_the_backend(backend: FilesystemBackend, staged: Stage) -> None:
    """Hashing is done once, above every backend: here only bytes are kept."""
    name = ObjectName("owner1", digest_of(b"other bytes"), "1" * 32)
    backend.publish(name, staged(b"data"))
    assert read_all(backend, name) == b"data"
