"""Tokens, times, and the keyring."""

import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blobstore.errors import StorageUnavailable
from records import times
from records.consent import tokens
from records.keyring import Keyring


def test_a_token_is_256_random_bits_behind_its_prefix() -> None:
    made = {tokens.make() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"bst_[A-Za-z0-9_-]{43}", token) for token in made)


def test_a_digest_names_one_token_and_shows_nothing_of_it() -> None:
    token = tokens.make()
    assert tokens.digest(token) == tokens.digest(token)
    assert len(tokens.digest(token)) == 32
    assert len({tokens.digest(token), tokens.digest(token + "x"), tokens.digest(token.upper())}) == 3


def test_any_text_may_be_asked_about() -> None:
    for text in ("", "é\0", "\udcff", "x" * 100_000):
        assert len(tokens.digest(text)) == 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("4w", timedelta(days=28)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert times.duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5h", "1 d", "30D", "1d\n", "١d", "99999999d", "9999999w"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        times.duration(text)


def test_now_is_utc_with_microseconds() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", times.now())
    assert abs(times.parse(times.now()) - datetime.now(UTC)) < timedelta(minutes=1)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_texts_read_back_as_the_same_moment(moment: datetime) -> None:
    try:
        text = times.text(moment)
    except OverflowError:
        return  # the first hours of the calendar, east of Greenwich
    assert times.parse(text) == moment
    assert len(text) == 27


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_texts_sort_as_the_times_do(first: datetime, second: datetime) -> None:
    assert (times.text(first) < times.text(second)) == (first < second)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        times.text(datetime(2026, 11, 23))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000000Z"),
        ("2026-11-23t10:00:00.5z", "2026-11-23T10:00:00.500000Z"),
        ("2026-11-23T10:00:00.123456789+05:30", "2026-11-23T04:30:00.123456Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000000Z"),
        ("2016-12-31T23:59:60.9-00:00", "2016-12-31T23:59:59.900000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_date_times_of_rfc_3339(text: str, utc: str) -> None:
    assert times.is_date_time(text)
    assert times.text(times.parse(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-11-23", "2026-11-23T10:00:00", "2026-11-23 10:00:00Z", "20261123T100000Z", "2026-W47-1T10:00:00Z"),
        *("2026-13-01T10:00:00Z", "2026-02-30T10:00:00Z", "2025-02-29T10:00:00Z", "2026-11-23T24:00:00Z"),
        *("2026-11-23T10:60:00Z", "2026-11-23T10:00:61Z", "2026-11-23T10:00Z", "2026-11-23T10:00:00.Z"),
        *("2026-11-23T10:00:00+0100", "2026-11-23T10:00:00+24:00", "2026-11-23T10:00:00Z\n", " 2026-11-23T10:00:00Z"),
        *("٢٠٢٦-11-23T10:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"),
        "2026-11-23T10:00:00." + "1" * 100 + "Z",
    ],
)
def test_what_is_no_date_time(text: str) -> None:
    assert not times.is_date_time(text)
    with pytest.raises(ValueError, match=r"date-time|calendar|must be|range"):
        times.parse(text)


def test_what_is_no_string_is_no_date_time() -> None:
    for value in (None, 7, ["2026-11-23T10:00:00Z"], True):
        assert not times.is_date_time(value)


def test_the_secret_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    first, second = Keyring.open(tmp_path), Keyring.open(tmp_path)
    assert first.cursor_key("o1") == second.cursor_key("o1")
    secret = tmp_path / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(secret.read_bytes()) == 32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret", "secret.lock"]


def test_two_data_directories_have_different_secrets(tmp_path: Path) -> None:
    first, second = Keyring.open(tmp_path / "a"), Keyring.open(tmp_path / "b")
    assert first.cursor_key("o1") != second.cursor_key("o1")


def test_a_half_written_secret_of_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".secret.new").write_bytes(b"half")
    Keyring.open(tmp_path)
    assert len((tmp_path / "secret").read_bytes()) == 32


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_secret_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(StorageUnavailable, match="backup"):
        Keyring.open(tmp_path)
    assert (tmp_path / "secret").read_bytes() == content


def test_a_directory_that_cannot_be_made_is_storage_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable):
        Keyring.open(tmp_path / "file")


def test_processes_that_start_at_once_share_the_secret(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from records.keyring import Keyring;"
    code += "print(Keyring.open(Path(sys.argv[1])).cursor_key('o1').hex())"
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    root = Path(__file__).parents[2]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env={**os.environ}) for _ in range(4)]
    answers = {each.communicate()[0].decode().strip() for each in processes}
    assert answers == {Keyring.open(tmp_path / "data").cursor_key("o1").hex()}


def test_keys_are_apart_by_purpose_owner_and_secret() -> None:
    one, other = Keyring(b"1" * 32), Keyring(b"2" * 32)
    keys = [one.cursor_key("o1"), one.cursor_key("o2"), other.cursor_key("o1"), one.derived("x", "o1")]
    assert len(set(keys)) == 4
    assert {len(key) for key in keys} == {32}


def test_a_digest_of_a_key_depends_on_the_secret_and_the_owner() -> None:
    one, other = Keyring(b"1" * 32), Keyring(b"2" * 32)
    digests = [
        one.key_digest("o1", "k"),
        one.key_digest("o1", "l"),
        one.key_digest("o2", "k"),
        other.key_digest("o1", "k"),
    ]
    assert len(set(digests)) == 4
    assert one.key_digest("o1", "k") == digests[0]
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in digests)
    assert one.key_digest("o1", "2k") != one.key_digest("o12", "k")
