"""The erasure ledger goes where the bytes go: nothing of it is lost, and positions stay good."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from blobstore.backends.memory import MemoryNotes
from blobstore.notes import Notes
from records.erasure.ledger import Ledger, write
from records.erasure.ledgers.following import FollowingLedger
from records.erasure.ledgers.moves import MOVES, went_on
from tests.conformance.ledger_suite import STORE, LedgerSuite, Medium, entry, ids


class Places:
    """Where the bytes are, which may change at any moment, for one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.places: list[Notes | None] = [None]

    async def look(self) -> Sequence[Notes | None]:
        return self.places

    async def open(self, store: str = STORE) -> FollowingLedger:
        return await FollowingLedger.open(self.directory, store, self.look, nullcontext)

    def move(self, to: Notes | None) -> None:
        self.places = [to, *(each for each in self.places if each is not to)]

    def lines(self) -> list[bytes]:
        return (self.directory / "erasures.ledger").read_bytes().splitlines()

    def put(self, lines: list[bytes]) -> None:
        (self.directory / "erasures.ledger").write_bytes(b"".join(line + b"\n" for line in lines))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "data").mkdir()
    return Places(tmp_path / "data")


class TestInFiles(LedgerSuite):
    @pytest.fixture
    def medium(self, places: Places) -> Medium:
        return places

    @pytest.fixture
    def other(self, tmp_path: Path) -> Medium:
        return Places(tmp_path)


@pytest.fixture
async def ledger(places: Places) -> FollowingLedger:
    ledger = await places.open()
    for number in range(3):
        await write(ledger, entry(number))
    return ledger


async def test_it_follows_into_a_bucket_into_another_and_back(places: Places, ledger: FollowingLedger) -> None:
    position, first, second = await ledger.position(), MemoryNotes("first"), MemoryNotes("second")
    for number, place in enumerate((first, second, None), 3):
        places.move(place)
        await write(ledger, entry(number))
        for each in (ledger, await places.open()):
            found = await each.read()
            assert found.reaches(position)
            assert [each.erasure for each in found.entries] == [f"era_{known}" for known in range(number + 1)]
        assert (places.directory / "erasures.ledger").exists() is (place is None)


async def test_a_bucket_that_it_left_says_where_it_went_and_one_that_it_came_back_to_says_nothing(
    places: Places, ledger: FollowingLedger
) -> None:
    first, second = MemoryNotes("first"), MemoryNotes("second")
    places.move(first)
    await ledger.follow()
    assert went_on(first) is None
    places.move(second)
    await (await places.open()).follow()
    assert (went_on(first), went_on(second)) == ("second", None)
    places.move(None)
    await ledger.follow()
    assert (went_on(first), went_on(second)) == ("file", "file")
    places.move(first)
    await ledger.follow()
    assert (went_on(first), went_on(second)) == (None, "first")
    assert len(list(first.names(MOVES))) == 3


async def test_who_opens_it_after_the_move_carries_it_over(places: Places, ledger: FollowingLedger) -> None:
    before = await ledger.position()
    places.move(MemoryNotes())
    assert await (await places.open()).position() == before
    assert not (places.directory / "erasures.ledger").exists()


async def test_another_machine_finds_what_was_carried_over(
    places: Places, ledger: FollowingLedger, tmp_path: Path
) -> None:
    places.move(MemoryNotes())
    await ledger.follow()
    other = Places(tmp_path)
    other.places = places.places
    theirs = await other.open()
    await write(theirs, entry(3))
    await write(ledger, entry(4))
    assert await ids(theirs) == await ids(ledger) == [f"era_{number}" for number in range(5)]


@pytest.mark.parametrize("opened", [False, True])
async def test_an_entry_that_was_written_where_it_was_is_written_where_it_is(
    places: Places, ledger: FollowingLedger, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    """The bytes move between the look and the entry; `opened`: and somebody carries over what was there before."""
    here = await ledger._follow()
    append = type(here).append
    bucket = MemoryNotes()

    async def late(self: Ledger, texts: Sequence[bytes]) -> None:
        if self is here and places.places[0] is None:
            places.move(bucket)
            if opened:
                await places.open()
        await append(self, texts)

    monkeypatch.setattr(type(here), "append", late)
    await write(ledger, entry(3))
    assert await ids(await places.open()) == [f"era_{number}" for number in range(4)]


async def test_many_carry_over_at_once(places: Places, ledger: FollowingLedger) -> None:
    before = await ledger.position()
    others = [await places.open() for _ in range(3)]
    places.move(MemoryNotes())
    await asyncio.gather(*(each.append([msgspec.json.encode(entry(2))]) for each in (ledger, *others)))
    assert await ledger.position() == before
