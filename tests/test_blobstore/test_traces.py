"""Whatever run of 32 bytes of a sample stands in a text or a file is found, wherever it lies."""

import os
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blobstore.traces import BLOCK, LONGEST, SHORTEST, Traces, is_distinctive

RNG = random.Random(4)
SAMPLES = [RNG.randbytes(size) for size in (SHORTEST, 47, 64, LONGEST, LONGEST)]
NOISE = RNG.randbytes(2000)


def numbers(traces: Traces, text: bytes) -> set[int]:
    return {number for _, number in traces.in_text(text)}


def in_file(traces: Traces, path: Path) -> set[tuple[int, int]]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return set(traces.in_file(descriptor))
    finally:
        os.close(descriptor)


@given(st.data())
def test_a_run_of_32_bytes_is_found_at_every_offset(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(SAMPLES) - 1))
    start = data.draw(st.integers(0, len(SAMPLES[number]) - SHORTEST))
    length = data.draw(st.integers(SHORTEST, len(SAMPLES[number]) - start))
    offset = data.draw(st.integers(0, len(NOISE)))
    text = NOISE[:offset] + SAMPLES[number][start : start + length] + NOISE[offset:]
    found = set(Traces(SAMPLES).in_text(text))
    assert {each[1] for each in found} == {number}
    # By chance a byte beside the run may go on with the sample.
    assert all(offset - 3 <= at <= offset for at, _ in found)


@given(st.integers(0, LONGEST - SHORTEST + 1), st.integers(0, 64))
def test_a_shorter_run_is_none(start: int, offset: int) -> None:
    piece = SAMPLES[-1][start : start + SHORTEST - 1]
    assert numbers(Traces(SAMPLES), bytes(offset) + piece + bytes(64)) == set()


@given(st.lists(st.binary(min_size=SHORTEST, max_size=LONGEST), max_size=5), st.binary(max_size=3000))
def test_no_run_is_found_that_is_not_there(samples: list[bytes], text: bytes) -> None:
    for at, number in Traces(samples).in_text(text):
        assert any(text[at : at + SHORTEST] == samples[number][start : start + SHORTEST] for start in range(len(text)))


def test_text_of_records_is_found_in_a_text_of_the_same_form() -> None:
    lines = [f'{{"id":"{n}","text":"{RNG.randbytes(30).hex()}","type":"message"}}'.encode() for n in range(300)]
    samples = [line[16 : 16 + LONGEST] for line in lines[:200]]
    assert numbers(Traces(samples), b"\n".join(lines)) == set(range(200))
    assert numbers(Traces(samples), b"\n".join(lines[200:])) == set()


def test_what_many_samples_have_in_common_is_found_where_every_run_counts() -> None:
    form = b'"attachments": [{"blob_ref": {"bl'
    samples = [b"%02d" % number + form for number in range(30)]
    assert numbers(Traces(samples), b"........" + form) == set()
    assert numbers(Traces(samples, every=True), b"........" + form) == set(range(30))


@pytest.mark.parametrize("at", [BLOCK - 40, BLOCK - 1, BLOCK, 2 * BLOCK - 16, 3 * BLOCK + 5])
def test_what_lies_across_the_border_of_two_reads_is_found(tmp_path: Path, at: int) -> None:
    content = bytearray(RNG.randbytes(3 * BLOCK + 200))
    content[at : at + LONGEST] = SAMPLES[-1]
    (tmp_path / "file").write_bytes(content)
    assert in_file(Traces(SAMPLES), tmp_path / "file") == {(at, len(SAMPLES) - 1)}


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        for _ in range(64):
            file.write(RNG.randbytes(BLOCK))
    traces = Traces(SAMPLES)
    tracemalloc.start()
    in_file(traces, tmp_path / "file")
    assert tracemalloc.get_traced_memory()[1] < 20 * BLOCK
    tracemalloc.stop()


@pytest.mark.parametrize("sample", [bytes(64), b"ab" * 30, b"too short but all different", RNG.randbytes(LONGEST + 1)])
def test_filling_and_what_has_another_length_is_not_distinctive(sample: bytes) -> None:
    assert not is_distinctive(sample)
    assert is_distinctive(SAMPLES[0])


def test_a_run_that_begins_in_a_stretch_of_zeros_is_found(tmp_path: Path) -> None:
    sample = bytes(20) + SAMPLES[0][:20]
    for before in (BLOCK, 2 * BLOCK, 3 * BLOCK + LONGEST):
        (tmp_path / "file").write_bytes(bytes(before) + SAMPLES[0][:20] + bytes(2 * BLOCK))
        assert in_file(Traces([sample]), tmp_path / "file") == {(before - 20, 0)}
