"""What the first bytes of an attachment say about its type, whatever Slack declares."""

import re
from enum import Enum

import filetype

from tools.slack.source import SlackObject

HEAD = 8192
"""Bytes to read from the start of an attachment before deciding."""

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_UNTOLD = "application/octet-stream"

# The tags by which browsers recognise HTML (WHATWG MIME Sniffing), after what may come before them.
_HTML = re.compile(
    rb"(?>\s+|<!--.*?-->|<\?xml[^>]*>)*+"  # atomic: many comments must not mean many ways to split them
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|iframe|style|table|div|font|h1|br|p|a|b)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_SIGN_IN = re.compile(
    rb"<title[^>]*>(?=[^<]*slack)[^<]*\b(?:sign[ -]?in|log[ -]?in)\b"
    rb"|slack\.com/(?:sign[-_]?in|workspace-signin|ssb/signin)"
    rb"|id=[\"']?signin_form|data-qa=[\"']?signin",
    re.IGNORECASE,
)

# Tuples: what Slack says may be anything, also what cannot be looked up in a set.
_HTML_MODES = ("quip", "canvas", "post", "space", "email", "docs", "list")
_HTML_FILETYPES = ("html", "htm", "xhtml", "mhtml", "quip", "canvas", "post", "space", "email", "docs")
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "message/rfc822", "application/vnd.slack-docs"})
_HTML_ENDING = re.compile(r"\.(?:x?html?|mht|mhtml|eml)$", re.IGNORECASE)
_TEXT_TYPES = re.compile(r"text/.*|.*[/+](?:xml|json|javascript|x-javascript|ecmascript|x-sh|x-php|sql|yaml|x-yaml)")


class Family(Enum):
    """What an honest file of a declared type may look like."""

    HTML = "pages: canvases, posts, e-mails, HTML files"
    TEXT = "text that may well start with a tag, and files of no declared type"
    OTHER = "everything that is never a page: images, videos, documents, archives"


def family(slack: SlackObject) -> Family:
    """The family of the type that Slack declares."""
    declared = _declared(slack)
    name = slack.get("name")
    if (
        slack.get("mode") in _HTML_MODES
        or slack.get("filetype") in _HTML_FILETYPES
        or declared in _HTML_TYPES
        or (declared in ("", _UNTOLD) and isinstance(name, str) and _HTML_ENDING.search(name))
    ):
        return Family.HTML
    if slack.get("mode") == "snippet" or _TEXT_TYPES.fullmatch(declared):
        return Family.TEXT
    return Family.OTHER if declared or slack.get("filetype") else Family.TEXT


def contradicts(slack: SlackObject, head: bytes, *, exact: bool) -> bool:
    """The bytes are a page where Slack declares something else; `exact`: their length is the declared one.

    A page of exactly the declared length is what was uploaded, unless it asks to sign in where no page can be.
    """
    if not is_html(head):
        return False
    kind = family(slack)
    if is_sign_in(head):
        return kind is Family.OTHER or not exact
    return kind is Family.OTHER and not exact


def is_html(head: bytes) -> bool:
    """The bytes start as an HTML document."""
    return _HTML.match(_plain(head)) is not None


def is_sign_in(head: bytes) -> bool:
    """The bytes start as a page that asks to sign in, which Slack serves in place of a file."""
    plain = _plain(head)
    return _HTML.match(plain) is not None and _SIGN_IN.search(plain) is not None


def media_type(slack: SlackObject, head: bytes) -> str:
    """The `type/subtype` to store the bytes under: as declared, else as sniffed, else `application/octet-stream`."""
    declared = _declared(slack)
    if declared not in ("", _UNTOLD) and _MEDIA_TYPE.fullmatch(declared):
        return declared
    if is_html(head):
        return "text/html"
    sniffed = filetype.guess_mime(head) if head else None
    return sniffed or _UNTOLD


def _declared(slack: SlackObject) -> str:
    declared = slack.get("mimetype")
    return declared.partition(";")[0].strip().lower() if isinstance(declared, str) else ""


def _plain(head: bytes) -> bytes:
    """`head` as ASCII-compatible bytes without a byte order mark."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", "ignore").encode("utf-8", "ignore")
    return head.removeprefix(b"\xef\xbb\xbf")
