"""slackdump's chunk files (`*.json.gz`, one chunk a line): its archives before they became a database."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.slack import jsonstream
from tools.slack.archive import uploads
from tools.slack.scratch import Pour
from tools.slack.source import SlackObject, SourceError
from tools.slack.workspace import Workspace

_LONGEST_LINE = 256 * 1024 * 1024
"""Bytes of one chunk: far more than slackdump puts into it, and a bound on memory."""


def is_chunks(path: Path) -> bool:
    """The file starts like a chunk file."""
    try:
        with gzip.open(path) as stream:
            first = jsonstream.decode(stream.readline(_LONGEST_LINE))
    except (OSError, EOFError, zlib.error, ValueError):
        return False
    return isinstance(first, dict) and "t" in first and "ts" in first


def open_chunks(files: list[Path]) -> Workspace:
    """The archive whose chunk files are `files`, all of one directory. Raises `SourceError`."""
    pour = Pour()
    for path in sorted(files):
        try:
            with gzip.open(path) as stream:
                for chunk in _objects(stream):
                    _pour(pour, chunk)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise SourceError(f"{path} cannot be read ({error}); make the archive again") from error
    tree, attachments = uploads(files[0].parent)
    return Workspace(pour.done(), tree, attachments, unusable=pour.unusable)


def _objects(stream: gzip.GzipFile) -> Iterator[SlackObject]:
    while line := stream.readline(_LONGEST_LINE):
        chunk = jsonstream.decode(line) if line.strip() else None
        if isinstance(chunk, dict):
            yield chunk


def _messages(pour: Pour, time: int, chunk: SlackObject) -> None:
    for message in _listed(chunk, "m"):
        pour.message(time, _channel_id(chunk), message)


def _thread(pour: Pour, time: int, chunk: SlackObject) -> None:
    parent = chunk.get("p")
    if isinstance(parent, dict) and parent.get("ts"):
        pour.message(time, _channel_id(chunk), parent)
    _messages(pour, time, chunk)


def _files(pour: Pour, time: int, chunk: SlackObject) -> None:
    for file in _listed(chunk, "f"):
        pour.file(time, file)


def _users(pour: Pour, time: int, chunk: SlackObject) -> None:
    for user in _listed(chunk, "u"):
        pour.user(time, user)


def _channels(pour: Pour, time: int, chunk: SlackObject) -> None:
    for channel in _listed(chunk, "ch"):
        pour.channel(time, channel)


def _channel(pour: Pour, time: int, chunk: SlackObject) -> None:
    pour.channel(time, chunk.get("ci"))


_KINDS: dict[int, Callable[[Pour, int, SlackObject], None]] = {
    0: _messages,
    1: _thread,
    2: _files,
    3: _users,
    4: _channels,
    5: _channel,
}
"""What each chunk type (`t`) holds; the other types (members, stars, searches) have no stream of ours."""


def _pour(pour: Pour, chunk: SlackObject) -> None:
    kind, time = chunk.get("t"), chunk.get("ts")
    if not isinstance(kind, int) or not isinstance(time, int) or not -(2**63) <= time < 2**63:
        raise ValueError("a chunk without type or time")
    if kind in _KINDS:
        _KINDS[kind](pour, time, chunk)


def _listed(chunk: SlackObject, name: str) -> list[Any]:
    listed = chunk.get(name)
    return listed if isinstance(listed, list) else []


def _channel_id(chunk: SlackObject) -> str:
    channel_id = chunk.get("id")
    if not isinstance(channel_id, str):
        raise ValueError("a chunk of messages without a channel")
    # A thread's chunk may carry its time after the channel: `C123:1674024422.432859`.
    return channel_id.partition(":")[0]
