"""Range headers: vectors from RFC 9110, hostile ones, and a model that goes byte by byte."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.ranges import MAX_RANGES, ByteRange, multipart, parse_range, unsatisfied

IGNORED = None
NONE: list[tuple[int, int]] = []


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        # one range
        ("bytes=0-1", 10, [(0, 2)]),
        ("bytes=0-0", 10, [(0, 1)]),
        ("bytes=0-", 10, [(0, 10)]),
        ("bytes=9-", 10, [(9, 10)]),
        ("bytes=3-100", 10, [(3, 10)]),
        ("bytes=0-9", 10, [(0, 10)]),
        ("bytes=00000-00001", 10, [(0, 2)]),
        ("bytes=0-" + "9" * 5000, 10, [(0, 10)]),
        ("bytes=" + "0" * 5000 + "3-4", 10, [(3, 5)]),
        # suffixes
        ("bytes=-1", 10, [(9, 10)]),
        ("bytes=-10", 10, [(0, 10)]),
        ("bytes=-11", 10, [(0, 10)]),
        ("bytes=-" + "9" * 5000, 10, [(0, 10)]),
        # nothing to satisfy
        ("bytes=-0", 10, NONE),
        ("bytes=10-", 10, NONE),
        ("bytes=10-11", 10, NONE),
        ("bytes=99999999999999999999-", 10, NONE),
        ("bytes=" + "9" * 5000 + "-", 10, NONE),
        ("bytes=10-,-0", 10, NONE),
        ("bytes=0-0", 0, NONE),
        ("bytes=0-", 0, NONE),
        ("bytes=-5", 0, NONE),
        # several, in the order asked for
        ("bytes=0-0,-1", 10, [(0, 1), (9, 10)]),
        ("bytes=-1,0-0", 10, [(9, 10), (0, 1)]),
        ("bytes=8-8,2-3,5-5", 10, [(8, 9), (2, 4), (5, 6)]),
        ("bytes=0-1,20-30", 10, [(0, 2)]),
        ("bytes=0-1,-0", 10, [(0, 2)]),
        # joined: overlapping, touching, repeated, contained
        ("bytes=0-5,3-8", 10, [(0, 9)]),
        ("bytes=0-4,5-9", 10, [(0, 10)]),
        ("bytes=5-9,0-4", 10, [(0, 10)]),
        ("bytes=1-1,1-1,1-1", 10, [(1, 2)]),
        ("bytes=0-,2-3", 10, [(0, 10)]),
        ("bytes=8-9,0-1,7-8", 10, [(7, 10), (0, 2)]),
        ("bytes=6-7,0-1,2-2,9-9", 10, [(6, 8), (0, 3), (9, 10)]),
        # the list rule: optional space, empty elements
        ("bytes= 0-0 ,\t-1 ", 10, [(0, 1), (9, 10)]),
        ("bytes=,,0-0,,,-1,", 10, [(0, 1), (9, 10)]),
        ("Bytes=0-1", 10, [(0, 2)]),
        ("BYTES=0-1", 10, [(0, 2)]),
        # not for us, or not a Range header at all
        (None, 10, IGNORED),
        ("", 10, IGNORED),
        ("bytes", 10, IGNORED),
        ("bytes=", 10, IGNORED),
        ("bytes=,", 10, IGNORED),
        ("bytes=-", 10, IGNORED),
        ("bytes=--1", 10, IGNORED),
        ("bytes=1", 10, IGNORED),
        ("bytes=a-b", 10, IGNORED),
        ("bytes=5-2", 10, IGNORED),
        ("bytes=0-1,5-2", 10, IGNORED),
        ("bytes=0-1,x", 10, IGNORED),
        ("bytes =0-1", 10, IGNORED),
        ("bytes=0 -1", 10, IGNORED),
        ("bytes=0- 1", 10, IGNORED),
        ("bytes:0-1", 10, IGNORED),
        ("bytes=0-1;2-3", 10, IGNORED),
        ("bytes=0-1, bytes=3-4", 10, IGNORED),
        ("bytes=+0-1", 10, IGNORED),
        ("bytes=0x0-0x1", 10, IGNORED),
        ("bytes=²-³", 10, IGNORED),
        ("bytes=٠-١", 10, IGNORED),
        ("bytes=0-1\n", 10, IGNORED),
        ("items=0-1", 10, IGNORED),
        ("seconds=0-1", 10, IGNORED),
        ("none=0-1", 10, IGNORED),
    ],
)
def test_a_header_means_these_bytes(header: str | None, size: int, expected: list[tuple[int, int]] | None) -> None:
    found = parse_range(header, size)

    assert (None if found is None else [(span.start, span.stop) for span in found]) == expected


def test_many_ranges_are_served_and_too_many_are_answered_with_the_whole() -> None:
    def header(count: int) -> str:
        return "bytes=" + ",".join(f"{start}-{start}" for start in range(0, 2 * count, 2))

    assert len(parse_range(header(MAX_RANGES), 10_000) or ()) == MAX_RANGES
    assert parse_range(header(MAX_RANGES + 1), 10_000) is None


def test_a_thousand_overlapping_ranges_are_one() -> None:
    assert parse_range("bytes=" + ",".join(["0-"] * 1000), 10**12) == (ByteRange(0, 10**12),)
    assert parse_range("bytes=" + ",".join(f"{n}-{n + 1}" for n in range(1000)), 10_000) == (ByteRange(0, 1001),)


numbers = st.integers(0, 24)
specs = st.one_of(
    st.builds(lambda first, more: f"{first}-{first + more}", numbers, numbers),
    st.builds(lambda first: f"{first}-", numbers),
    st.builds(lambda suffix: f"-{suffix}", numbers),
)


def asked_bytes(spec: str, size: int) -> set[int]:
    first, last = spec.split("-")
    if not first:
        return set(range(size)[-int(last) :] if int(last) else ())
    return {place for place in range(size) if int(first) <= place and (not last or place <= int(last))}


@given(st.lists(specs, min_size=1, max_size=12), st.integers(0, 20))
@example(["0-0", "2-2"], 3)
def test_every_byte_that_was_asked_for_comes_once_and_no_other(asked: list[str], size: int) -> None:
    wanted = [asked_bytes(spec, size) for spec in asked]

    found = parse_range("bytes=" + ",".join(asked), size)

    assert found is not None
    served = [place for span in found for place in range(span.start, span.stop)]
    assert len(served) == len(set(served))
    assert set(served) == set().union(*wanted)
    for one, other in pairwise(sorted(found)):
        assert one.stop < other.start  # neither overlapping nor touching
    firsts = [min(place for place, spec in enumerate(wanted) if spec & set(range(*_ends(span)))) for span in found]
    assert firsts == sorted(firsts)


@given(st.text(st.characters(max_codepoint=0x250), max_size=40), st.integers(0, 100))
@example("bytes=" + "9" * 8000 + "-" + "9" * 8000, 5)
def test_no_header_is_an_error(header: str, size: int) -> None:
    for candidate in (header, "bytes=" + header):
        for span in parse_range(candidate, size) or ():
            assert 0 <= span.start < span.stop <= size


def test_content_range_counts_from_zero_and_includes_both_ends() -> None:
    assert ByteRange(0, 2).content_range(10) == "bytes 0-1/10"
    assert unsatisfied(10) == "bytes */10"


def test_the_parts_of_a_multipart_body_are_framed_as_the_rfc_shows() -> None:
    ranges = (ByteRange(500, 502), ByteRange(0, 1))

    body = multipart(ranges, 8000, "application/pdf", "THIS_STRING_SEPARATES")

    text = b"".join(part if isinstance(part, bytes) else b"x" * len(part) for part in body)
    assert [part for part in body if isinstance(part, ByteRange)] == list(ranges)
    assert text == (
        b"--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-501/8000\r\n\r\nxx"
        b"\r\n--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 0-0/8000\r\n\r\nx"
        b"\r\n--THIS_STRING_SEPARATES--\r\n"
    )
    assert re.fullmatch(rb"--(.+?)\r\n.*\r\n--\1--\r\n", text, re.DOTALL)


def _ends(span: ByteRange) -> tuple[int, int]:
    return span.start, span.stop
