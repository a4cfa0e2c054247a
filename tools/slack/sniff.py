"""What the first bytes of an attachment say about its type, whatever Slack declares."""

from tools.slack.source import SlackObject

HEAD = 8192
"""Bytes to read from the start of an attachment before deciding."""


def is_html(head: bytes) -> bool:
    """The bytes start as an HTML document."""
    raise NotImplementedError


def is_sign_in(head: bytes) -> bool:
    """The bytes start as a page that asks to sign in, which Slack serves in place of a file."""
    raise NotImplementedError


def media_type(slack: SlackObject, head: bytes) -> str:
    """The `type/subtype` to store the bytes under: as declared, else as sniffed, else `application/octet-stream`."""
    raise NotImplementedError
