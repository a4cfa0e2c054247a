"""What every erasure ledger does: inherit the class, give it a `medium` fixture."""

import asyncio
import json
from typing import Protocol

import msgspec
import pytest

from blobstore.errors import Damaged, StorageUnavailable, WrongStore
from records.erasure import ledger as ledgers
from records.erasure.ledger import Entry, Ledger, Position, write
from records.manifest import MAX_ID

STORE = "5" * 32


class Medium(Protocol):
    """Where a ledger is, also seen behind its back."""

    async def open(self, store: str = STORE) -> Ledger:
        """The ledger, begun if need be."""
        ...

    def lines(self) -> list[bytes]:
        """What lies there, without the lines' ends."""
        ...

    def put(self, lines: list[bytes]) -> None:
        """Replace what lies there."""
        ...


def entry(number: int) -> Entry:
    return Entry(
        f"era_{number}", "2026-11-24T00:00:00.000000Z", "record", "o1", "files", ("default",), "documents", "ab" * 16
    )


async def written(medium: Medium, count: int) -> Ledger:
    ledger = await medium.open()
    for number in range(count):
        await write(ledger, entry(number))
    return ledger


async def ids(ledger: Ledger) -> list[str]:
    return [each.erasure for each in (await ledger.read()).entries]


class LedgerSuite:
    """One test for each sentence of `records.erasure.ledger`."""

    async def test_what_is_written_is_read_again_in_its_order(self, medium: Medium) -> None:
        found = await (await written(medium, 3)).read()
        assert found.store == STORE
        assert found.entries == [entry(0), entry(1), entry(2)]
        assert [msgspec.json.decode(text, type=Entry) for text in found.texts] == found.entries

    async def test_an_erasure_is_on_it_once_however_often_it_is_written(self, medium: Medium) -> None:
        ledger = await written(medium, 2)
        await write(ledger, entry(0))
        again = await medium.open()
        await write(again, entry(1))
        assert await ids(again) == ["era_0", "era_1"]

    async def test_who_writes_sees_what_others_wrote(self, medium: Medium) -> None:
        first, second = await medium.open(), await medium.open()
        await write(first, entry(1))
        assert await second.has("era_1")
        assert not await second.has("era_2")
        await write(second, entry(2))
        await write(first, entry(2))
        assert await first.has("era_2")
        assert await ids(first) == ["era_1", "era_2"]

    async def test_many_may_write_at_once(self, medium: Medium) -> None:
        ledgers = await asyncio.gather(*(medium.open() for _ in range(4)))
        await asyncio.gather(*(write(ledger, entry(number)) for number in range(6) for ledger in ledgers))
        assert sorted(await ids(ledgers[0])) == sorted(f"era_{number}" for number in range(6))
        assert await ids(await medium.open()) == await ids(ledgers[0])

    async def test_a_position_is_reached_by_the_ledger_that_it_was_read_from_and_its_continuations(
        self, medium: Medium
    ) -> None:
        ledger = await written(medium, 1)
        position = await ledger.position()
        await write(ledger, entry(1))
        found = await ledger.read()
        assert found.reaches(position)
        assert found.beyond(position) == [entry(1)]
        assert not found.reaches(Position(position.lines, "00" * 32))
        assert not found.reaches(Position(9, position.hash))

    async def test_entries_are_carried_over_word_for_word_also_those_of_a_later_version(
        self, medium: Medium, other: Medium
    ) -> None:
        ledger = await written(medium, 1)
        strange = msgspec.json.encode({**msgspec.to_builtins(entry(1)), "of_the_next_version": 1})
        await ledger.append([strange])
        copied = await other.open()
        await copied.append((await ledger.read()).texts)
        assert await copied.position() == await ledger.position()
        assert other.lines() == medium.lines()

    @pytest.mark.parametrize("line", [0, 1, 2, 3])
    async def test_a_line_that_was_changed_or_taken_out_is_found(self, medium: Medium, line: int) -> None:
        ledger = await written(medium, 3)
        lines = medium.lines()
        changed = json.loads(lines[line])
        changed["entry"]["x"] = 1
        for harmed in (
            [*lines[:line], json.dumps(changed).encode(), *lines[line + 1 :]],
            [*lines[:line], b"nonsense", *lines[line + 1 :]],
            [*lines[:line], *lines[line + 1 :]] if line < 3 else [*lines, lines[3]],
            [*lines[:line], *reversed(lines[line : line + 2]), *lines[line + 2 :]] if line < 3 else [*lines, lines[0]],
        ):
            medium.put(harmed)
            with pytest.raises(Damaged):
                await ledger.read()
            with pytest.raises(Damaged):
                await ledger.position()
            with pytest.raises(Damaged):
                await medium.open()

    async def test_nothing_is_added_to_a_ledger_that_was_cut_off_under_it(self, medium: Medium) -> None:
        ledger = await written(medium, 3)
        medium.put(medium.lines()[:2])
        with pytest.raises(StorageUnavailable, match="cut off"):
            await write(ledger, entry(3))

    async def test_a_write_costs_the_same_however_long_the_ledger_is(
        self, medium: Medium, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A line is hashed when it is written, and when it is read: that tells how many were."""
        hashed: list[bytes] = []
        real = ledgers._hash

        def noting(previous: str, text: bytes) -> str:
            hashed.append(text)
            return real(previous, text)

        first, second = await written(medium, 12), await medium.open()
        monkeypatch.setattr(ledgers, "_hash", noting)
        for number, ledger in ((12, first), (13, first), (14, second), (15, second), (16, first)):
            await write(ledger, entry(number))
        added = [2, 2, 4, 2, 4]  # its own, and those of the other
        assert len(hashed) == sum(added)
        assert await ids(first) == [f"era_{number}" for number in range(17)]

    async def test_a_line_may_name_every_account_of_a_connector_that_a_bag_brings(self, medium: Medium) -> None:
        ledger = await medium.open()
        many = tuple(f"{number:06}".ljust(MAX_ID, "x") for number in range(40_000))
        await write(ledger, Entry("era_many", "2026-11-24T00:00:00.000000Z", "connector", "o1", "files", many))
        await write(ledger, entry(1))
        assert await ids(ledger) == ["era_many", "era_1"]

    async def test_the_ledger_of_another_store_is_refused(self, medium: Medium) -> None:
        await written(medium, 1)
        with pytest.raises(WrongStore):
            await medium.open("6" * 32)
