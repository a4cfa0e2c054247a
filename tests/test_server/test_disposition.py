"""Content-Disposition for names and types that come from strangers."""

import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.disposition import content_disposition

OCTETS = "application/octet-stream"
SHAPE = re.compile(
    r"""(inline|attachment)(; filename="[^"\\%\x00-\x1f\x7f-\U0010ffff]+"(; filename\*=UTF-8''[!-~]+)?)?"""
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "attachment"),
        ("", "attachment"),
        ("   ", "attachment"),
        (".", "attachment"),
        ("..", "attachment"),
        ("\x00\r\n", "attachment"),
        ("a.txt", 'attachment; filename="a.txt"'),
        ("two words; really.txt", 'attachment; filename="two words; really.txt"'),
        (".bashrc", 'attachment; filename=".bashrc"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a\\b.txt", 'attachment; filename="a_b.txt"'),
        ("../../etc/passwd", 'attachment; filename=".._.._etc_passwd"'),
        ("C:\\con", 'attachment; filename="C:_con"'),
        ("50%41.txt", "attachment; filename=\"50_41.txt\"; filename*=UTF-8''50%2541.txt"),
        ("a\r\nSet-Cookie: x=1", 'attachment; filename="aSet-Cookie: x=1"'),
        ("a\x00b\x7fc\x85d\u2028e.txt", 'attachment; filename="abcde.txt"'),
        ("photo\u202egpj.exe", 'attachment; filename="photogpj.exe"'),
        ("\u2066a\u2069\u200b\ufeff.txt", 'attachment; filename="a.txt"'),
        ("naïve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ("€ rates", "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"),
        ("🦊.png", "attachment; filename=\"_.png\"; filename*=UTF-8''%F0%9F%A6%8A.png"),
        ("lone\ud83dsurrogate", 'attachment; filename="lone_surrogate"'),
        ("a'b*c.txt", 'attachment; filename="a\'b*c.txt"'),
    ],
)
def test_a_name_becomes_this_header(name: str | None, expected: str) -> None:
    assert content_disposition(OCTETS, name) == expected


def test_a_name_of_other_characters_only_survives_in_the_extended_form() -> None:
    assert content_disposition(OCTETS, "写真") == "attachment; filename=\"__\"; filename*=UTF-8''%E5%86%99%E7%9C%9F"


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "application/pdf", "video/mp4", "text/plain"])
def test_what_a_browser_only_shows_is_inline(media_type: str) -> None:
    assert content_disposition(media_type, None) == "inline"


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "text/javascript",
        "text/css",
        "application/json",
        "application/zip",
        OCTETS,
        "image/unheard-of",
        "TEXT/PLAIN ",  # not in the form in which types are stored
        "",
    ],
)
def test_everything_else_is_an_attachment(media_type: str) -> None:
    assert content_disposition(media_type, "x").startswith("attachment; ")


def test_a_long_name_keeps_its_extension_and_whole_characters() -> None:
    header = content_disposition(OCTETS, "🦊" * 300 + ".tar.gz")

    name = unquote(header.partition("UTF-8''")[2], errors="strict")
    assert name.endswith("🦊.gz")
    assert len(name.encode()) <= 200
    assert len(content_disposition(OCTETS, "a" * 100_000)) < 300
    assert content_disposition(OCTETS, "a." + "b" * 100_000).count("b") < 200


@given(st.text(st.characters(exclude_categories=()), max_size=60))
@example("\ud800\udc00")
@example('"; filename="evil.exe')
@example("x" * 190 + "é" * 60 + ".jpeg")
def test_no_name_breaks_out_of_the_header(name: str) -> None:
    header = content_disposition(OCTETS, name)

    assert SHAPE.fullmatch(header)
    shown = unquote(header.partition("UTF-8''")[2], errors="strict") or header.partition('"')[2].rstrip('"')
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert not set(shown) & set("/\\")
    assert len(header) < 1000
