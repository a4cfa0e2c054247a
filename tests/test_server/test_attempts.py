"""How long who sends wrong tokens has to wait, and who that is."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from server.console.attempts import MAX_ADDRESSES, MOST, SECONDS, Attempts, address_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_wrong_ones_are_forgotten_one_after_the_other() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST):
        assert attempts.seconds_to_wait("a") == 0
        attempts.count("a")
    assert attempts.seconds_to_wait("a") == SECONDS
    clock.now += SECONDS - 0.5
    assert attempts.seconds_to_wait("a") == 1
    clock.now += 0.5
    assert attempts.seconds_to_wait("a") == 0
    attempts.count("a")
    assert attempts.seconds_to_wait("a") == SECONDS
    attempts.forgive("a")
    assert attempts.seconds_to_wait("a") == 0
    assert attempts.seconds_to_wait("b") == 0


def test_no_number_of_addresses_takes_more_room() -> None:
    attempts = Attempts(Clock())
    for each in range(MAX_ADDRESSES + MOST):
        attempts.count(str(each))
    for _ in range(MOST):
        attempts.count("last")
    attempts.forgive("0")
    assert len(attempts._forgotten) == MAX_ADDRESSES
    assert attempts.seconds_to_wait("last") > 0


def test_of_several_lines_the_last_is_the_proxys() -> None:
    lines = CIMultiDict([("X-Forwarded-For", "192.0.2.9"), ("X-Forwarded-For", "198.51.100.1")])
    request = make_mocked_request("POST", "/console/sign-in", headers=lines).clone(remote="127.0.0.1")
    assert address_of(request) == "198.51.100.1"


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("8.8.8.8", None, "8.8.8.8"),
        ("8.8.8.8", "198.51.100.1", "8.8.8.8"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "192.0.2.9, 198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2a00:1450:1:2:3::4", None, "2a00:1450:1:2::/64"),
        ("::ffff:8.8.8.8", None, "8.8.8.8"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("", "198.51.100.1", "198.51.100.1"),
        ("", None, ""),
    ],
)
def test_where_a_request_comes_from_is_said_by_proxies_nearby_alone(peer: str, said: str | None, address: str) -> None:
    headers = {} if said is None else {"X-Forwarded-For": said}
    request = make_mocked_request("POST", "/console/sign-in", headers=headers).clone(remote=peer)
    assert address_of(request) == address
