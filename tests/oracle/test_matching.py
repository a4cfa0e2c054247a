"""What corresponds and what does not, decided on values alone."""

from datetime import UTC, datetime

import pytest

from tools.oracle import jsontext, verdict
from tools.oracle.matching import Matching, Unlike
from tools.oracle.places import made_at
from tools.oracle.request import Answer, Request

ONE, TWO, THREE = (b"cin_" + digit * 24 for digit in (b"1", b"2", b"3"))
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def alike(ours: bytes, theirs: bytes, matching: Matching | None = None) -> None:
    verdict.texts(ours, theirs, matching or Matching(BEGAN))


def test_an_id_stands_for_one_other_everywhere() -> None:
    matching = Matching()
    alike(b'{"connection_id":"%s"}' % ONE, b'{"connection_id":"%s"}' % TWO, matching)
    assert matching.translated(b"/v1/owner/connections/" + ONE) == b"/v1/owner/connections/" + TWO
    with pytest.raises(Unlike):
        alike(b'{"connection_id":"%s"}' % ONE, b'{"connection_id":"%s"}' % THREE, matching)
    with pytest.raises(Unlike):
        alike(b'{"connection_id":"%s"}' % THREE, b'{"connection_id":"%s"}' % TWO, matching)


def test_what_an_owner_wrote_is_the_same_everywhere() -> None:
    line = b'{"object":"list","data":[{"id":"a","data":{"connection_id":"%s","at":"%s"}}]}'
    moment = b"2026-02-01T00:00:00.000000Z"
    alike(line % (ONE, moment), line % (ONE, moment))
    for other in ((TWO, moment), (ONE, b"2026-02-01T00:00:01.000000Z")):
        with pytest.raises(Unlike):
            alike(line % (ONE, moment), line % other)
    assert not made_at("data.*.data.at")
    assert not made_at("data.connection_id")


@pytest.mark.parametrize(
    "other",
    [
        b'{"a":1,"b":[1,2 ]}',
        b'{"b":[1,2],"a":1}',
        b'{"a":1,"b":[1,2,3]}',
        b'{"a":1.0,"b":[1,2]}',
        b'{"a":1,"b":[2,1]}',
        b'{"a":1,"c":[1,2]}',
        b'{"a":"1","b":[1,2]}',
    ],
)
def test_spelling_and_order_must_be_the_same(other: bytes) -> None:
    with pytest.raises(Unlike):
        alike(b'{"a":1,"b":[1,2]}', other)


def test_a_difference_is_told_with_its_path() -> None:
    ours = b'{"a":{"b":[{"c":"x\\"y"}]},"d":1}'
    assert list(jsontext.differences(ours, ours.replace(b"1}", b"2}").replace(b"x", b"z"))) == [
        ("a.b.*.c", b'x\\"y', b'z\\"y'),
        ("d", b"1", b"2"),
    ]


def test_moments_are_of_the_run_and_in_one_order() -> None:
    matching = Matching()
    times = [datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") for _ in range(4)]
    matching.pair_moments("at", times[0], times[1], "here")
    matching.pair_moments("at", times[1], times[1], "here")
    matching.pair_moments("at", times[2], times[3], "here")
    with pytest.raises(Unlike):
        matching.pair_moments("at", times[1], times[0], "here")
    with pytest.raises(Unlike):
        matching.pair_moments("at", times[3], times[2], "here")
    with pytest.raises(Unlike):
        matching.pair_moments("at", "2020-01-01T00:00:00.000000Z", "2020-01-01T00:00:00.000000Z", "here")


def test_cursors_of_two_lengths_are_not_alike() -> None:
    with pytest.raises(Unlike):
        alike(b'{"next_cursor":"%s"}' % (b"a" * 100), b'{"next_cursor":"%s"}' % (b"b" * 101))


def test_headers_are_compared_in_their_order_and_spelling() -> None:
    request = Request("GET", "/", "/", "owner", None)

    def answer(*headers: tuple[str, str]) -> Answer:
        return Answer(200, "OK", (("Date", "now"), *headers), b"")

    verdict.require_alike(request, answer(("A", "1"), ("B", "2")), answer(("A", "1"), ("B", "2")), Matching())
    for others in ((("B", "2"), ("A", "1")), (("a", "1"), ("B", "2")), (("A", "1"),), (("A", "1"), ("B", "3"))):
        with pytest.raises(Unlike):
            verdict.require_alike(request, answer(("A", "1"), ("B", "2")), answer(*others), Matching())
