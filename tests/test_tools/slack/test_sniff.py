"""What first bytes say of a type."""

import time

import pytest

from tools.slack import sniff

PAGES = [
    b"<!DOCTYPE html>",
    b"<!doctype HTML PUBLIC '-//W3C//DTD XHTML 1.0'>",
    b"<html>",
    b'\xef\xbb\xbf\r\n <HTML lang="de">',
    b"<!-- saved from url --><!-- twice --> <head>",
    b'<?xml version="1.0"?>\n<!DOCTYPE html>',
    "<html>".encode("utf-16"),
    b"<title>Slack</title>",
    b"<script src=x>",
]
OTHERS = [
    b"",
    b"<",
    b"plain text about <html>",
    b"\x89PNG\r\n\x1a\n<html>",
    b"<svg xmlns='http://www.w3.org/2000/svg'>",
    b"<?xml version='1.0'?><Error>",
    b"<htmlish>",
    b"<!-- only a comment -->",
    b"%PDF-1.7",
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("head", PAGES)
def test_a_page_is_told_by_its_first_tag(head: bytes) -> None:
    assert sniff.is_html(head)


@pytest.mark.parametrize("head", OTHERS)
def test_what_only_holds_tags_is_no_page(head: bytes) -> None:
    assert not sniff.is_html(head)


@pytest.mark.parametrize(
    "head",
    [
        b"<html><title>Sign in | Slack</title>",
        b"<!DOCTYPE html><head><title>Slack: log in to Acme</title>",
        b'<html><form id="signin_form" action="/">',
        b'<html><a href="https://acme.slack.com/signin?x=1">',
        b"<html><body><div data-qa='signin_header'>",
    ],
)
def test_a_sign_in_page_is_told_by_its_title_or_its_form(head: bytes) -> None:
    assert sniff.is_sign_in(head)


@pytest.mark.parametrize(
    "head",
    [
        b"<html><title>How we sign in guests</title>",
        b"<html><title>Slack guide</title> please sign in",
        b"Sign in | Slack, said the <title>",
    ],
)
def test_a_page_about_signing_in_asks_nobody_to(head: bytes) -> None:
    assert not sniff.is_sign_in(head)


def test_hostile_bytes_are_decided_at_once() -> None:
    heads = [b"<!---->" * 1200 + b"x", b" " * sniff.HEAD, b"<title>" * 1200, b"<html><title>" + b"sign in " * 1000]
    started = time.monotonic()
    for head in heads:
        sniff.is_sign_in(head[: sniff.HEAD])
    assert time.monotonic() - started < 1


def test_the_declared_media_type_is_kept_in_its_plain_form() -> None:
    assert sniff.media_type({"mimetype": "Text/Plain; charset=utf-8"}, b"<html>") == "text/plain"


@pytest.mark.parametrize("declared", [None, "", "application/octet-stream", "nonsense", "a/b\r\nX: y", 7])
def test_without_a_usable_declaration_the_bytes_tell_the_media_type(declared: object) -> None:
    slack = {"mimetype": declared}
    assert sniff.media_type(slack, b"\x89PNG\r\n\x1a\n" + b"\0" * 64) == "image/png"
    assert sniff.media_type(slack, b"<html>") == "text/html"
    assert sniff.media_type(slack, b"\x01\x02\x03") == "application/octet-stream"
    assert sniff.media_type(slack, b"") == "application/octet-stream"
