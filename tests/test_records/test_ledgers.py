"""The erasure ledger as a file and in a bucket: durable, chained, written by many at once, and honest about damage."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from blobstore.backends.memory import MemoryNotes
from blobstore.backends.s3 import Place
from blobstore.backends.s3.client import Client, connect
from blobstore.backends.s3.notes import S3Notes
from blobstore.errors import Damaged, StorageUnavailable
from records.erasure.ledger import Ledger, write
from records.erasure.ledgers import bucket
from records.erasure.ledgers.bucket import BucketLedger
from records.erasure.ledgers.file import FileLedger, read
from tests.conformance.ledger_suite import STORE, LedgerSuite, entry, ids, written
from tests.fakes.s3 import S3Server


class File:
    def __init__(self, path: Path) -> None:
        self.path = path

    async def open(self, store: str = STORE) -> Ledger:
        return await FileLedger.open(self.path, store)

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines()

    def put(self, lines: list[bytes]) -> None:
        self.path.write_bytes(b"".join(line + b"\n" for line in lines))


class TestFile(LedgerSuite):
    @pytest.fixture
    def medium(self, tmp_path: Path) -> File:
        return File(tmp_path / "kept" / "erasures.ledger")

    @pytest.fixture
    def other(self, tmp_path: Path) -> File:
        return File(tmp_path / "copied" / "erasures.ledger")

    async def test_nobody_else_may_read_it(self, medium: File) -> None:
        await written(medium, 1)
        assert medium.path.stat().st_mode & 0o077 == 0

    async def test_what_a_crash_left_of_a_line_is_written_over(self, medium: File) -> None:
        ledger, path = await written(medium, 2), medium.path
        whole = path.read_bytes()
        for length in (1, 30, len(whole.splitlines(True)[-1]) - 1):
            path.write_bytes(whole + whole.splitlines(True)[-1][:length])
            assert await ids(ledger) == ["era_0", "era_1"]
        await write(ledger, entry(2))
        assert [each.erasure for each in read(path).entries] == ["era_0", "era_1", "era_2"]

    async def test_nothing_is_added_to_a_ledger_that_is_damaged_removed_or_replaced(self, medium: File) -> None:
        ledger, path = await written(medium, 2), medium.path
        whole = path.read_bytes()
        for harmed in (whole.replace(b"era_0", b"era_9"), None):
            path.unlink()
            if harmed is not None:
                path.write_bytes(harmed)
            with pytest.raises(StorageUnavailable):
                await write(ledger, entry(2))
        assert not path.exists()
        await medium.open("6" * 32)
        with pytest.raises(StorageUnavailable, match="replaced"):
            await write(ledger, entry(2))


@pytest.fixture(scope="module")
def client(s3: S3Server) -> Iterator[Client]:
    """To make one takes longer than a test."""
    client = connect(s3.access(), 32)
    yield client
    client.close()


class Bucket:
    """A prefix of a bucket; without `conditional` writers exclude each other by a lock, as the store does not."""

    def __init__(self, client: Client, place: Place, *, conditional: bool) -> None:
        self._client, self._place = client, place
        self._alone = asyncio.Lock()
        self.notes = S3Notes(client, place, {}, exclusive=conditional)

    async def open(self, store: str = STORE) -> Ledger:
        return await BucketLedger.open(self.notes, self._place.url, store, self._taken)

    def lines(self) -> list[bytes]:
        return [self.notes.read(name) or b"" for name in self.notes.names("ledger/")]

    def put(self, lines: list[bytes]) -> None:
        where = {"Bucket": self._place.bucket}
        names = [f"ledger/{number:010}" for number, _ in enumerate(lines, 1)]
        for name in self.notes.names("ledger/"):
            self._client.delete_object(**where, Key=self._place.prefix + name)
        for name, line in zip(names, lines, strict=True):
            self._client.put_object(**where, Key=self._place.prefix + name, Body=line)

    def remove(self, name: str) -> None:
        self._client.delete_object(Bucket=self._place.bucket, Key=self._place.prefix + name)

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[None]:
        async with self._alone:
            yield


class BucketSuite(LedgerSuite):
    conditional = True

    @pytest.fixture
    def medium(self, s3: S3Server, client: Client) -> Bucket:
        return Bucket(client, s3.place(), conditional=self.conditional)

    @pytest.fixture
    def other(self, s3: S3Server, client: Client) -> Bucket:
        return Bucket(client, s3.place(), conditional=self.conditional)


class TestBucket(BucketSuite):
    async def test_a_line_in_the_middle_that_is_gone_is_no_end(self, medium: Bucket) -> None:
        ledger = await written(medium, 3)
        medium.remove("ledger/0000000003")
        with pytest.raises(Damaged, match="line 3"):
            await ledger.read()
        with pytest.raises(Damaged, match="line 3"):
            await medium.open()


class TestBucketWithoutConditions(BucketSuite):
    conditional = False


class CountedNotes(MemoryNotes):
    """Notes that count what is read of them, and may leave out of a listing what came last."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.unlisted = 0

    def read(self, name: str) -> bytes | None:
        self.reads += 1
        return super().read(name)

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        names = list(super().names(folder, after))
        return iter(names[: len(names) - self.unlisted])


@pytest.fixture
def notes() -> CountedNotes:
    return CountedNotes()


async def in_memory(notes: CountedNotes, count: int) -> BucketLedger:
    ledger = await BucketLedger.open(notes, "memory", STORE)
    for number in range(count):
        await write(ledger, entry(number))
    return ledger


async def test_a_long_ledger_is_read_in_bundles(notes: CountedNotes) -> None:
    ledger = await in_memory(notes, 10 * bucket.BUNDLE + 7)
    before, notes.reads = await ledger.position(), 0
    again = await BucketLedger.open(notes, "memory", STORE)
    assert notes.reads < 25
    assert await again.position() == before
    assert len((await again.read()).entries) == before.lines - 1


async def test_a_bundle_that_is_missing_or_was_changed(notes: CountedNotes) -> None:
    ledger = await in_memory(notes, 2 * bucket.BUNDLE)
    before = await ledger.position()
    name = next(notes.names(bucket.BUNDLES))
    bundle = notes._notes.pop(name)
    assert await (await BucketLedger.open(notes, "memory", STORE)).position() == before
    for harmed in (bundle.replace(b"era_50", b"era_51"), bundle[:-10], b""):
        notes._notes[name] = harmed
        with pytest.raises(Damaged):
            await BucketLedger.open(notes, "memory", STORE)


async def test_a_listing_that_lags_behind_hides_nothing(notes: CountedNotes) -> None:
    ledger = await in_memory(notes, 5)
    notes.unlisted = 3
    again = await BucketLedger.open(notes, "memory", STORE)
    assert await again.position() == await ledger.position()
    await write(again, entry(9))
    assert await ids(ledger) == [*(f"era_{number}" for number in range(5)), "era_9"]


@pytest.mark.parametrize("others", [1, 7])
async def test_who_is_overtaken_writes_the_line_after(
    notes: CountedNotes, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    ledger, other = await in_memory(notes, 1), await BucketLedger.open(notes, "memory", STORE)
    left = list(range(10, 10 + others))

    def overtaken(name: str, data: bytes) -> bool:
        if left and b"era_5" in data:
            other._write([msgspec.json.encode(entry(left.pop()))])
        return MemoryNotes.create(notes, name, data)

    monkeypatch.setattr(notes, "create", overtaken)
    await write(ledger, entry(5))
    assert (await ids(ledger))[-1] == "era_5"
    assert len(await ids(other)) == others + 2
