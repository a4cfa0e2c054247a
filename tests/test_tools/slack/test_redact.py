"""Credentials leave text; everything else stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.slack import redact

TOKENS = [
    "xoxe-000000000000-000000000000-000000000000-" + "0" * 32,
    "xoxp-1-2-3-abc",
    "xoxb-123-abc",
    "xoxc-1-2-3-abc",
    "xoxd-abc%2Bdef%3D",
    "xoxs-1-2-3-abc",
    "xoxr-abc",
    "xoxa-2-abc",
    "XOXB-123-ABC",
    "xoxe.xoxp-1-Mi0yLTEyMzQ1",
    "xoxo-123-456",
    "xapp-1-A0123-456-abc",
]


@pytest.mark.parametrize("name", ["t", "token", "pub_secret"])
def test_a_credential_leaves_the_address_of_a_field(name: str) -> None:
    address = f"https://files.slack.com/files-pri/T1-F1/a.png?{name}=secret"
    assert redact.field(address) == "https://files.slack.com/files-pri/T1-F1/a.png"


def test_other_parameters_and_the_fragment_stay() -> None:
    assert redact.field("https://x.slack.com/a?s=1&t=xoxe-1&u=2#top") == "https://x.slack.com/a?s=1&u=2#top"


def test_an_address_on_any_host_loses_its_credential_in_a_field() -> None:
    assert redact.field("http://127.0.0.1:8765/files-pri/T1-F1/a?t=abc") == "http://127.0.0.1:8765/files-pri/T1-F1/a"


def test_a_link_that_somebody_wrote_stays_as_it_is() -> None:
    text = "see <https://www.youtube.com/watch?v=1&amp;t=90|at 1:30> and <https://notslack.com/a?token=b>"
    assert redact.written(text) == text


@pytest.mark.parametrize(
    "host", ["files.slack.com", "acme.slack.com", "slack-files.com", "a.slack-edge.com", "127.0.0.1/files-pri"]
)
def test_a_slack_address_that_somebody_wrote_loses_its_credential(host: str) -> None:
    text = f"<https://{host}/T1-F1/a.png?v=1&amp;t=secret|a.png> <https://{host}/b?token=secret>"
    assert redact.written(text) == f"<https://{host}/T1-F1/a.png?v=1|a.png> <https://{host}/b>"


def test_a_token_in_a_parameter_takes_the_parameter_along_on_any_host() -> None:
    assert redact.written("https://example.com/a?x=1&y=xoxp-1-2&z=3") == "https://example.com/a?x=1&z=3"
    assert redact.written("https://example.com/a?y=xoxp%2D1-2") == "https://example.com/a"


@pytest.mark.parametrize("rule", [redact.field, redact.written])
@pytest.mark.parametrize("token", TOKENS)
def test_a_token_goes_wherever_it_stands(token: str, rule: object) -> None:
    for text in (token, f"it is {token}, keep it safe", f'{{"a":"{token}"}}', f"https://a.b/{token}/c", f"x={token}"):
        redacted = rule(text)  # type: ignore[operator]  # one of two functions
        assert token not in redacted
        assert redact.REPLACEMENT in redacted


@pytest.mark.parametrize("text", ["xoxo", "love, xoxo-mum", "xoxb", "the prefix xoxb- means a bot", "foxox-1"])
def test_what_only_looks_a_little_like_a_token_stays(text: str) -> None:
    assert redact.written(text) == text


@given(st.text(alphabet="abcxo-?&=#:/.<>| t%", max_size=60), st.sampled_from(TOKENS), st.text(max_size=20))
def test_no_token_survives_in_any_surroundings(before: str, token: str, after: str) -> None:
    assert token.lower() not in redact.written(before + " " + token + " " + after).lower()


@given(st.text(max_size=80))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact.field(text)
    assert redact.field(once) == once
