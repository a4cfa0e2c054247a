"""Slack objects as PDPP records: one NDJSON line each, the same bytes for the same input."""

from dataclasses import dataclass

from tools.sink import Uploaded
from tools.slack.source import FileEntry, SlackObject
from tools.slack.status import Verdict

STREAMS = ("channels", "users", "messages", "files")
"""In the order in which they are best ingested."""


@dataclass(frozen=True, slots=True)
class Hydration:
    """What became of one file: its verdict, and the blob if bytes were stored."""

    verdict: Verdict
    blob: Uploaded | None = None


def channel(slack: SlackObject) -> bytes:
    """A line of stream `channels`, without its newline."""
    raise NotImplementedError


def user(slack: SlackObject) -> bytes:
    """A line of stream `users`, without its newline."""
    raise NotImplementedError


def message(channel_id: str, slack: SlackObject) -> bytes:
    """A line of stream `messages`, without its newline; key `<channel id>:<ts>`."""
    raise NotImplementedError


def file(entry: FileEntry, hydration: Hydration) -> bytes:
    """A line of stream `files`, without its newline, with `blob_ref` where bytes were stored."""
    raise NotImplementedError
