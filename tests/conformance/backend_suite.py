"""What every blob backend does: inherit the class, give it a `backend` fixture."""

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from blobstore.backend import Backend, ObjectName
from blobstore.digest import Digest, Hasher
from blobstore.errors import BlobNotFound

Stage = Callable[[bytes], Path]


def digest_of(data: bytes) -> Digest:
    hasher = Hasher()
    hasher.update(data)
    return hasher.finish().digest


def name_of(data: bytes, generation: int = 1, namespace: str = "owner1") -> ObjectName:
    return ObjectName(namespace, digest_of(data), f"{generation:032x}")


def read_all(backend: Backend, name: ObjectName) -> bytes:
    reader = backend.open(name)
    try:
        return reader.read(0, reader.size)
    finally:
        reader.close()


def listed(backend: Backend) -> dict[ObjectName, int]:
    """What is listed, none of it foreign."""
    found = list(backend.list())
    names = {entry[0]: entry[1] for entry in found if isinstance(entry, tuple)}
    assert len(names) == len(found)
    return names


class BackendSuite:
    """One test for each sentence of `blobstore.backend`."""

    outlives_removal = True
    """Whether an open object stays readable when it is removed."""

    @pytest.fixture
    def staged(self, tmp_path: Path) -> Stage:
        """Makes files as staging does: complete and fsynced."""
        folder = tmp_path / "staging"
        folder.mkdir()
        numbers = iter(range(1_000_000))

        def stage(data: bytes) -> Path:
            path = folder / str(next(numbers))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, data)
            os.fsync(descriptor)
            os.close(descriptor)
            return path

        return stage

    @pytest.fixture
    def closable(self, backend: Backend) -> Backend:
        """One that no other test needs after it was closed."""
        return backend

    # -- publish ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("data", [b"", b"x", b"some bytes", bytes(range(256)) * 20_000], ids=len)
    def test_published_bytes_are_under_their_name(self, backend: Backend, staged: Stage, data: bytes) -> None:
        backend.publish(name_of(data), staged(data))
        assert read_all(backend, name_of(data)) == data
        assert backend.size(name_of(data)) == len(data)

    def test_the_staged_file_may_be_discarded_after_publishing(self, backend: Backend, staged: Stage) -> None:
        path = staged(b"data")
        backend.publish(name_of(b"data"), path)
        path.unlink(missing_ok=True)
        assert read_all(backend, name_of(b"data")) == b"data"

    def test_publishing_a_staged_file_that_is_gone_raises_and_leaves_no_name(
        self, backend: Backend, staged: Stage
    ) -> None:
        path = staged(b"data")
        path.unlink()
        with pytest.raises(FileNotFoundError):
            backend.publish(name_of(b"data"), path)
        assert backend.size(name_of(b"data")) is None
        assert listed(backend) == {}

    def test_a_name_that_is_there_is_never_replaced(self, backend: Backend, staged: Stage) -> None:
        backend.publish(name_of(b"first"), staged(b"first"))
        with pytest.raises(FileExistsError):
            backend.publish(name_of(b"first"), staged(b"other"))
        assert read_all(backend, name_of(b"first")) == b"first"

    def test_of_many_that_publish_one_name_at_once_one_succeeds_or_the_medium_is_known_to_lack_that(
        self, backend: Backend, staged: Stage
    ) -> None:
        name = name_of(b"contended")
        bodies = [f"writer {number}".encode() for number in range(8)]
        paths = [staged(body) for body in bodies]
        start = threading.Barrier(len(paths))

        def publish(path: Path) -> bool:
            start.wait()
            with suppress(FileExistsError):
                backend.publish(name, path)
                return True
            return False

        with ThreadPoolExecutor(len(paths)) as pool:
            outcomes = list(pool.map(publish, paths))
        assert outcomes.count(True) == 1 or (outcomes.count(True) > 1 and backend.lacks)
        assert read_all(backend, name) in [body for body, won in zip(bodies, outcomes, strict=True) if won]

    def test_generations_and_namespaces_are_apart(self, backend: Backend, staged: Stage) -> None:
        names = [
            name_of(b"data", 1),
            name_of(b"data", 2),
            name_of(b"data", 1, "owner2"),
        ]
        for name in names:
            backend.publish(name, staged(b"data"))
        backend.remove([names[0]])
        assert backend.size(names[0]) is None
        assert listed(backend) == {names[1]: 4, names[2]: 4}

    def test_a_path_is_made_of_the_name_alone(self, backend: Backend, staged: Stage) -> None:
        name = name_of(b"data")
        backend.publish(name, staged(b"data"))
        with closing(backend.open(name)) as reader:
            hexadecimal = name.digest.hex
            steps = [name.namespace, hexadecimal[:2], hexadecimal[2:4], f"{hexadecimal}.{name.generation}"]
            assert reader.path() in (None, "/".join(steps))

    def test_a_link_where_there_is_one_is_an_address(self, backend: Backend, staged: Stage) -> None:
        backend.publish(name_of(b"data"), staged(b"data"))
        with closing(backend.open(name_of(b"data"))) as reader:
            assert (reader.link(60, "text/plain", "inline") or "https://").startswith(("http://", "https://"))

    # -- open ------------------------------------------------------------------------------------------------------

    def test_opening_what_is_not_there_raises_blob_not_found(self, backend: Backend, staged: Stage) -> None:
        backend.publish(name_of(b"data", 1), staged(b"data"))
        for absent in (name_of(b"data", 2), name_of(b"data", 1, "owner2"), name_of(b"never")):
            with pytest.raises(BlobNotFound):
                backend.open(absent)

    def test_a_reader_gives_exactly_the_range_and_less_only_at_the_end(self, backend: Backend, staged: Stage) -> None:
        data = bytes(range(256)) * 4096
        backend.publish(name_of(data), staged(data))
        reader = backend.open(name_of(data))
        assert reader.size == len(data)
        for offset, length in [(0, 1), (0, len(data)), (1, 255), (300_001, 500_000), (len(data) - 1, 1), (17, 0)]:
            assert reader.read(offset, length) == data[offset : offset + length]
        assert reader.read(len(data) - 3, 10) == data[-3:]
        assert reader.read(len(data), 10) == b""
        reader.close()

    def test_one_reader_serves_many_threads(self, backend: Backend, staged: Stage, rng: random.Random) -> None:
        data = rng.randbytes(400_000)
        backend.publish(name_of(data), staged(data))
        reader = backend.open(name_of(data))
        ranges = [(rng.randrange(len(data)), rng.randrange(1, 9000)) for _ in range(400)]
        with ThreadPoolExecutor(8) as pool:
            pieces = list(pool.map(lambda each: reader.read(*each), ranges))
        reader.close()
        assert pieces == [data[offset : offset + length] for offset, length in ranges]

    def test_a_reader_may_be_closed_twice(self, backend: Backend, staged: Stage) -> None:
        backend.publish(name_of(b"data"), staged(b"data"))
        reader = backend.open(name_of(b"data"))
        reader.close()
        reader.close()

    def test_an_open_reader_survives_the_removal(self, backend: Backend, staged: Stage) -> None:
        if not self.outlives_removal:
            pytest.skip("this medium does not keep removed objects for their readers")
        backend.publish(name_of(b"data"), staged(b"data"))
        reader = backend.open(name_of(b"data"))
        backend.remove([name_of(b"data")])
        assert reader.read(0, 4) == b"data"
        reader.close()

    def test_a_readers_descriptor_where_there_is_one_gives_the_same_bytes(
        self, backend: Backend, staged: Stage
    ) -> None:
        backend.publish(name_of(b"some data"), staged(b"some data"))
        reader = backend.open(name_of(b"some data"))
        descriptor = reader.fileno()
        assert descriptor is None or os.pread(descriptor, 100, 5) == b"data"
        reader.close()

    # -- remove ----------------------------------------------------------------------------------------------------

    def test_removed_is_gone_and_the_name_is_free_of_it(self, backend: Backend, staged: Stage) -> None:
        backend.publish(name_of(b"data"), staged(b"data"))
        backend.remove([name_of(b"data")])
        assert backend.size(name_of(b"data")) is None
        assert listed(backend) == {}
        with pytest.raises(BlobNotFound):
            backend.open(name_of(b"data"))

    def test_removing_what_is_not_there_is_no_error(self, backend: Backend, staged: Stage) -> None:
        backend.remove([])
        backend.remove([name_of(b"never")])
        backend.publish(name_of(b"here"), staged(b"here"))
        backend.publish(name_of(b"stays"), staged(b"stays"))
        backend.remove([name_of(b"never"), name_of(b"here"), name_of(b"here"), name_of(b"here", 2)])
        backend.remove([name_of(b"here")])
        assert listed(backend) == {name_of(b"stays"): 5}

    def test_nothing_is_left_of_what_was_removed_and_of_what_was_never_there(
        self, backend: Backend, staged: Stage
    ) -> None:
        names = [name_of(b"data", generation) for generation in range(1, 5)]
        for name in names[:3]:
            backend.publish(name, staged(b"data"))
        assert sorted(backend.left(names)) == names[:3]
        backend.remove(names[:2])
        assert backend.left(names) == [names[2]]
        assert backend.left([]) == []

    # -- list ------------------------------------------------------------------------------------------------------

    def test_listing_gives_everything_with_its_length(self, backend: Backend, staged: Stage) -> None:
        assert listed(backend) == {}
        expected = {}
        for number in range(300):
            data = b"." * number
            expected[name_of(data, number, f"owner{number % 3}")] = number
        for name, size in expected.items():
            backend.publish(name, staged(b"." * size))
        assert listed(backend) == expected

    def test_listing_goes_on_while_objects_come_and_go(self, backend: Backend, staged: Stage) -> None:
        stays = [name_of(b"stays %d" % number) for number in range(60)]
        goes = [name_of(b"goes %d" % number) for number in range(60)]
        for name in stays + goes:
            backend.publish(name, staged(b"data"))
        found = set()
        for number, entry in enumerate(backend.list()):
            assert isinstance(entry, tuple)
            found.add(entry[0])
            backend.remove(goes[number : number + 1])
            backend.publish(name_of(b"comes %d" % number), staged(b"data"))
        assert set(stays) <= found

    # -- whose it is ------------------------------------------------------------------------------------------------

    def test_the_first_who_asks_decides_whose_the_bytes_are(self, backend: Backend) -> None:
        assert backend.bound() is None
        assert backend.bind("store1") == "store1"
        assert backend.bind("store2") == "store1"
        assert backend.bound() == "store1"
        assert listed(backend) == {}

    def test_it_is_empty_until_something_is_published_and_after_all_is_removed(
        self, backend: Backend, staged: Stage
    ) -> None:
        backend.bind("store1")
        assert backend.is_empty()
        backend.publish(name_of(b"data"), staged(b"data"))
        assert not backend.is_empty()
        backend.remove([name_of(b"data")])
        assert backend.is_empty()

    def test_it_may_be_closed_twice(self, closable: Backend) -> None:
        closable.close()
        closable.close()

    # -- together --------------------------------------------------------------------------------------------------

    def test_random_calls_from_many_threads_end_as_a_dictionary_would(
        self, backend: Backend, staged: Stage, rng: random.Random, sized: Callable[[int, int], int]
    ) -> None:
        threads, calls = 4, sized(60, 3000)
        # Few digests that share their first digits: on a file system everybody meets in the same folders.
        digests = [Digest(f"{'ab' if number % 2 else 'abcd':0<62}{number:02x}") for number in range(8)]

        def work(worker: int) -> dict[ObjectName, bytes]:
            mine: dict[ObjectName, bytes] = {}
            choices = random.Random(seeds[worker])
            for number in range(calls):
                name = ObjectName("owner1", choices.choice(digests), f"{worker:016x}{number:016x}")
                if mine and choices.random() < 0.5:
                    gone = choices.sample(sorted(mine), choices.randint(1, min(3, len(mine))))
                    backend.remove(gone)
                    assert [backend.size(each) for each in gone] == [None] * len(gone)
                    mine = {each: data for each, data in mine.items() if each not in gone}
                else:
                    mine[name] = choices.randbytes(choices.randrange(50))
                    with lock:
                        path = staged(mine[name])
                    backend.publish(name, path)
                    assert read_all(backend, name) == mine[name]
            return mine

        lock = threading.Lock()
        seeds = [rng.random() for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            expected = {name: data for part in pool.map(work, range(threads)) for name, data in part.items()}
        assert listed(backend) == {name: len(data) for name, data in expected.items()}
        assert {name: read_all(backend, name) for name in expected} == expected
