"""A body of lines into batches: their sizes, one stored while the next arrives, and what happens when either fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from records.writing.ingest import Ingest
from records.writing.lines import MAX_LINE
from server.errors import TooLarge
from server.ndjson import BATCH_BYTES, BATCH_LINES, feed


class Recorder:
    """An ingest that notes what it is given; `gate` holds it back, `fails_at` is the batch that it cannot store."""

    def __init__(self, fails_at: int = -1) -> None:
        self.batches: list[list[bytes]] = []
        self.running = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails_at = fails_at
        self.attempted = self.accepted = self.rejected = 0

    async def apply(self, lines: Sequence[bytes]) -> None:
        assert self.running == 0, "not to be used by two tasks at once"
        self.running += 1
        self.batches.append(list(lines))
        await self.gate.wait()
        await asyncio.sleep(0)
        self.running -= 1
        if len(self.batches) - 1 == self.fails_at:
            raise OSError("the disk is gone")
        self.attempted += len(lines)
        self.accepted += len(lines)


async def given(recorder: Recorder, pieces: AsyncIterator[bytes]) -> None:
    await feed(pieces, cast(Ingest, recorder))


async def of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_batches_are_bounded_by_lines() -> None:
    recorder = Recorder()
    await given(recorder, of(b"line\n" * (2 * BATCH_LINES + 3)))
    assert [len(batch) for batch in recorder.batches] == [BATCH_LINES, BATCH_LINES, 3]


async def test_batches_are_bounded_by_bytes() -> None:
    recorder = Recorder()
    await given(recorder, of(*[b"x" * (1 << 20) + b"\n"] * 10))
    assert max(sum(map(len, batch)) for batch in recorder.batches) <= BATCH_BYTES
    assert sum(len(batch) for batch in recorder.batches) == 10


async def test_the_next_batch_arrives_while_one_is_stored_and_no_more_than_that() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    taken = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(5):
            taken += 1
            yield b"line\n" * BATCH_LINES

    feeding = asyncio.create_task(given(recorder, pieces()))
    await asyncio.sleep(0.05)
    assert (taken, len(recorder.batches)) == (2, 1)
    recorder.gate.set()
    await feeding
    assert (taken, len(recorder.batches)) == (5, 5)


async def test_a_failure_of_storage_ends_the_request_and_nothing_comes_after_it() -> None:
    recorder = Recorder(fails_at=1)
    with pytest.raises(OSError, match="disk"):
        await given(recorder, of(*[b"line\n" * BATCH_LINES] * 5))
    assert (len(recorder.batches), recorder.running) == (2, 0)


async def test_a_failure_of_the_last_batch_is_told_too() -> None:
    with pytest.raises(OSError, match="disk"):
        await given(Recorder(fails_at=0), of(b"one line"))


async def test_a_sender_that_goes_away_leaves_no_work_behind() -> None:
    recorder = Recorder()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"line\n" * BATCH_LINES
        await asyncio.sleep(0)
        recorder.gate.clear()
        asyncio.get_running_loop().call_later(0.05, recorder.gate.set)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await given(recorder, pieces())
    assert recorder.running == 0
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancelled_request_leaves_no_work_behind() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    feeding = asyncio.create_task(given(recorder, of(*[b"line\n" * BATCH_LINES] * 5)))
    await asyncio.sleep(0.05)
    feeding.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await feeding
    assert (len(recorder.batches), recorder.running) == (1, 0)


async def test_what_stands_before_a_line_that_is_too_long_is_settled_first() -> None:
    recorder = Recorder()
    with pytest.raises(TooLarge) as raised:
        await given(recorder, of(b"one\n\ntwo\n", b"x" * MAX_LINE, b"x", b"\nafter\n"))
    assert recorder.batches == [[b"one", b"two"]]
    assert raised.value.members["line"] == 4
    assert raised.value.members["input_index"] == 2
    assert raised.value.members["records_accepted"] == 2


async def test_a_body_without_lines_stores_nothing() -> None:
    recorder = Recorder()
    await given(recorder, of(b"", b"\n", b"\r\n", b" \n"))
    assert recorder.batches == []
