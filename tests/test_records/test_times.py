"""Times are read strictly, and packed without loss."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import times


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_usual_times_are_packed_as_integers_and_come_back_to_the_letter(moment: datetime, timespec: str) -> None:
    text = moment.isoformat(timespec=timespec).removesuffix("+00:00") + "Z"
    packed = times.packed(text)
    assert isinstance(packed, int)
    assert times.unpacked(packed) == text


@given(
    st.sampled_from(["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.123Z", "2026-11-23T10:00:00.123456Z"]),
    st.lists(st.tuples(st.integers(0, 27), st.sampled_from("0123456789TtZz:-+.,W٢ ")), max_size=3),
)
def test_what_looks_like_a_time_comes_back_to_the_letter(text: str, changes: list[tuple[int, str]]) -> None:
    for at, character in changes:
        text = text[:at] + character + text[at + 1 :]
    assert times.unpacked(times.packed(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T10:00:00+01:00",
        "2026-11-23T10:00:00.5Z",
        "2026-11-23T10:00:00.1234567Z",
        "2026-11-23t10:00:00Z",
        "2026-11-23T10:00:00z",
        "2026-06-30T23:59:60Z",
        "2026-02-30T10:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-23T10:00:00Z\n",
        "٢026-11-23T10:00:00Z",
        "",
    ],
)
def test_other_times_stay_as_they_are(text: str) -> None:
    assert times.packed(text) == text
    assert times.unpacked(text) == text
