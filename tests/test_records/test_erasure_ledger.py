"""The erasure ledger: durable, chained, written by many at once, and honest about damage."""

import asyncio
import json
from pathlib import Path

import pytest

from blobstore.errors import Damaged, StorageUnavailable, WrongStore
from records.erasure import ledger as ledgers
from records.erasure.ledger import Entry, Ledger, Position, read
from records.manifest import MAX_ID

STORE = "5" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "erasures.ledger"


def entry(number: int) -> Entry:
    return Entry(
        f"era_{number}", "2026-11-24T00:00:00.000000Z", "record", "o1", "files", ("default",), "documents", "ab" * 16
    )


async def written(path: Path, count: int) -> Ledger:
    ledger = await Ledger.open(path, STORE)
    for number in range(count):
        await ledger.write(entry(number))
    return ledger


def ids(path: Path) -> list[str]:
    return [each.erasure for each in read(path).entries]


async def test_what_is_written_is_read_again_in_its_order(path: Path) -> None:
    await written(path, 3)
    assert read(path).store == STORE
    assert read(path).entries == [entry(0), entry(1), entry(2)]
    assert path.stat().st_mode & 0o077 == 0


async def test_an_erasure_is_on_it_once_however_often_it_is_written(path: Path) -> None:
    ledger = await written(path, 2)
    await ledger.write(entry(0))
    again = await Ledger.open(path, STORE)
    await again.write(entry(1))
    assert ids(path) == ["era_0", "era_1"]


async def test_many_may_write_at_once(path: Path) -> None:
    ledgers = await asyncio.gather(*(Ledger.open(path, STORE) for _ in range(4)))
    await asyncio.gather(*(ledger.write(entry(number)) for number in range(20) for ledger in ledgers))
    assert sorted(ids(path)) == sorted(f"era_{number}" for number in range(20))


async def test_a_position_is_reached_by_the_ledger_that_it_was_read_from_and_its_continuations(path: Path) -> None:
    ledger = await written(path, 1)
    position = await ledger.position()
    await ledger.write(entry(1))
    assert read(path).reaches(position)
    assert not read(path).reaches(Position(position.lines, "00" * 32))
    assert not read(path).reaches(Position(9, position.hash))


async def test_what_a_crash_left_of_a_line_is_written_over(path: Path) -> None:
    ledger = await written(path, 2)
    whole = path.read_bytes()
    for length in (1, 30, len(whole.splitlines(True)[-1]) - 1):
        path.write_bytes(whole + whole.splitlines(True)[-1][:length])
        assert ids(path) == ["era_0", "era_1"]
    await ledger.write(entry(2))
    assert ids(path) == ["era_0", "era_1", "era_2"]


@pytest.mark.parametrize("line", [0, 1, 2, 3])
async def test_a_line_that_was_changed_or_taken_out_is_found(path: Path, line: int) -> None:
    await written(path, 3)
    lines = path.read_bytes().splitlines(True)
    changed = json.loads(lines[line])
    changed["entry"]["x"] = 1
    for harmed in (
        [*lines[:line], json.dumps(changed).encode() + b"\n", *lines[line + 1 :]],
        [*lines[:line], b"nonsense\n", *lines[line + 1 :]],
        [*lines[:line], *lines[line + 1 :]] if line < 3 else [*lines, lines[3]],
        [*lines[:line], *reversed(lines[line : line + 2]), *lines[line + 2 :]] if line < 3 else [*lines, lines[0]],
    ):
        path.write_bytes(b"".join(harmed))
        with pytest.raises(Damaged):
            read(path)
        with pytest.raises(Damaged):
            await Ledger.open(path, STORE)


async def test_nothing_is_added_to_a_ledger_that_is_damaged_removed_or_replaced(path: Path) -> None:
    ledger = await written(path, 2)
    whole = path.read_bytes()
    for harmed in (whole.replace(b"era_0", b"era_9"), None):
        path.unlink()
        if harmed is not None:
            path.write_bytes(harmed)
        with pytest.raises(StorageUnavailable):
            await ledger.write(entry(2))
    assert not path.exists()
    await Ledger.open(path, "6" * 32)
    with pytest.raises(StorageUnavailable, match="replaced"):
        await ledger.write(entry(2))


async def test_nothing_is_added_to_a_ledger_that_was_cut_off_under_it(path: Path) -> None:
    ledger = await written(path, 3)
    lines = path.read_bytes().splitlines(True)
    with path.open("r+b") as file:
        file.truncate(len(lines[0]) + len(lines[1]))
    with pytest.raises(StorageUnavailable, match="cut off"):
        await ledger.write(entry(3))


async def test_a_write_costs_the_same_however_long_the_ledger_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is hashed when it is written, and when it is read: that tells how many were."""
    hashed: list[bytes] = []
    real = ledgers._hash

    def noting(previous: str, text: bytes) -> str:
        hashed.append(text)
        return real(previous, text)

    first, second = await written(path, 60), await Ledger.open(path, STORE)
    monkeypatch.setattr(ledgers, "_hash", noting)
    for number, ledger in ((60, first), (61, first), (62, second), (63, second), (64, first)):
        await ledger.write(entry(number))
    added = [2, 2, 4, 2, 4]  # its own, and those of the other
    assert len(hashed) == sum(added)
    assert ids(path) == [f"era_{number}" for number in range(65)]


async def test_a_line_may_name_every_account_of_a_connector_that_a_bag_brings(path: Path) -> None:
    ledger = await Ledger.open(path, STORE)
    many = tuple(f"{number:06}".ljust(MAX_ID, "x") for number in range(40_000))
    await ledger.write(Entry("era_many", "2026-11-24T00:00:00.000000Z", "connector", "o1", "files", many))
    await ledger.write(entry(1))
    assert ids(path) == ["era_many", "era_1"]


async def test_the_ledger_of_another_store_is_refused(path: Path) -> None:
    await written(path, 1)
    with pytest.raises(WrongStore):
        await Ledger.open(path, "6" * 32)
