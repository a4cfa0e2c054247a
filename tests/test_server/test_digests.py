"""Repr-Digest and Content-Digest on the way in and out."""

import base64
import hashlib

import pytest

from server.digests import MalformedDigest, parse_digest, repr_digest

SHA = hashlib.sha256(b"x").digest()
GOOD = "sha-256=:" + base64.b64encode(SHA).decode() + ":"


@pytest.mark.parametrize(
    "lines",
    [
        [GOOD],
        ["sha-512=:YWJj:, " + GOOD],
        ["sha-512=:YWJj:", GOOD],
        [GOOD + ";why=because"],
        ["unixsum=30637, " + GOOD],
        ["  " + GOOD + "  "],
    ],
)
def test_a_sha256_is_found_among_others(lines: list[str]) -> None:
    assert parse_digest(lines) == SHA


@pytest.mark.parametrize("lines", [[], [""], ["sha-512=:YWJj:"], ["md5=:YWJj:", "adler=:YQ==:"], ["id-sha-256=?1"]])
def test_other_algorithms_say_nothing(lines: list[str]) -> None:
    assert parse_digest(lines) is None


@pytest.mark.parametrize(
    "line",
    [
        "sha-256",
        "sha-256=1",
        "sha-256=(:YWJj:)",
        "sha-256=:YWJj:",
        "sha-256=::",
        "sha-256=" + SHA.hex(),
        "sha-256=" + base64.b64encode(SHA).decode(),
        "SHA-256=:YWJj:",
        GOOD[:-1],
        GOOD + " " + GOOD,
        "sha-256=:€:",
        "\udcff",
        "=",
    ],
)
def test_what_is_no_digest_is_refused(line: str) -> None:
    with pytest.raises(MalformedDigest):
        parse_digest([line])


def test_what_is_sent_can_be_read_back() -> None:
    assert repr_digest(SHA) == GOOD
    assert parse_digest([repr_digest(SHA)]) == SHA
