"""Conditional requests: each header alone, and which one decides when there are several."""

import pytest

from server.conditions import Verdict, judge, range_applies

TAG = '"blob_b3_00ff"'
DATE = "Sat, 29 Oct 1994 19:43:31 GMT"


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "verdict"),
    [
        (None, None, Verdict.PROCEED),
        # If-Match: strong
        (TAG, None, Verdict.PROCEED),
        ("*", None, Verdict.PROCEED),
        (" * ", None, Verdict.PROCEED),
        (f'"other", {TAG}', None, Verdict.PROCEED),
        (f'"a,b",{TAG}', None, Verdict.PROCEED),
        ('"other"', None, Verdict.FAILED),
        (f"W/{TAG}", None, Verdict.FAILED),
        ("", None, Verdict.FAILED),
        ("blob_b3_00ff", None, Verdict.FAILED),
        (f"{TAG} {TAG}", None, Verdict.FAILED),
        # If-None-Match: weak
        (None, TAG, Verdict.NOT_MODIFIED),
        (None, f"W/{TAG}", Verdict.NOT_MODIFIED),
        (None, "*", Verdict.NOT_MODIFIED),
        (None, f'"other" , ,W/"x", {TAG},', Verdict.NOT_MODIFIED),
        (None, '"other"', Verdict.PROCEED),
        (None, '"BLOB_B3_00FF"', Verdict.PROCEED),
        (None, 'w/"blob_b3_00ff"', Verdict.PROCEED),
        (None, "blob_b3_00ff", Verdict.PROCEED),
        (None, '"blob_b3_00ff', Verdict.PROCEED),
        (None, f"x {TAG}", Verdict.PROCEED),
        (None, "", Verdict.PROCEED),
        # both: If-Match is asked first
        ('"other"', TAG, Verdict.FAILED),
        (TAG, TAG, Verdict.NOT_MODIFIED),
        (TAG, '"other"', Verdict.PROCEED),
    ],
)
def test_preconditions(if_match: str | None, if_none_match: str | None, verdict: Verdict) -> None:
    assert judge(TAG, if_match, if_none_match) is verdict


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        (None, True),
        (TAG, True),
        (f" {TAG} ", True),
        ('"old"', False),
        (f"W/{TAG}", False),  # strong comparison
        (DATE, False),  # no Last-Modified was ever sent
        (f'{TAG}, "old"', False),  # one tag, not a list
        ("*", False),
        ("", False),
        ("blob_b3_00ff", False),
    ],
)
def test_if_range_wants_the_same_strong_tag(if_range: str | None, applies: bool) -> None:
    assert range_applies(TAG, if_range) is applies


def test_a_hostile_list_of_tags_is_judged_in_no_time() -> None:
    for header in ("," * 8000, '"' * 8000, '"x"' + " ," * 4000 + '"', 'W/"x",' * 1300):
        assert judge(TAG, None, header) is Verdict.PROCEED
