"""The made-up workspace as an export, directory or zip."""

import json
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tools.slack.sample.cast import CHANNELS, EVERY_CHANNEL, USERS
from tools.slack.sample.content import Content
from tools.slack.source import SlackObject

_MADE = (2024, 1, 2, 3, 4, 6)
"""The time of every zip member: the same input gives the same zip."""


class Sink(Protocol):
    """Where an export goes."""

    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        """Write one file."""
        ...


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            stream.writelines(pieces)


class _UnmarkedName(zipfile.ZipInfo):
    """A member whose name is UTF-8 and not marked as such."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode(), self.flag_bits & ~0x800


class _Zip:
    def __init__(self, archive: zipfile.ZipFile, *, utf8_flag: bool) -> None:
        self._archive = archive
        self._member = zipfile.ZipInfo if utf8_flag else _UnmarkedName

    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        info = self._member(path, _MADE)
        info.compress_type = zipfile.ZIP_DEFLATED if path.endswith(".json") else zipfile.ZIP_STORED
        with self._archive.open(info, "w", force_zip64=True) as stream:
            for piece in pieces:
                stream.write(piece)


@contextmanager
def opened(out: Path, *, utf8_flag: bool) -> Iterator[Sink]:
    """`out`, which must not exist, as a zip or a directory, as its name says."""
    if out.suffix == ".zip":
        with zipfile.ZipFile(out, "x") as archive:
            yield _Zip(archive, utf8_flag=utf8_flag)
    else:
        out.mkdir(parents=True)
        yield _Directory(out)


def write(sink: Sink, messages: Iterable[tuple[str, SlackObject]], attachments: Mapping[str, Content]) -> None:
    """Everything: `messages` as (channel id, message), `attachments` by their paths."""
    sink.put("users.json", _json(USERS))
    for name, channels in CHANNELS.items():
        sink.put(name, _json(channels))
    folders = {channel["id"]: channel.get("name") or channel["id"] for channel in EVERY_CHANNEL}
    days: dict[str, list[SlackObject]] = {}
    for channel_id, message in messages:
        day = time.strftime("%Y-%m-%d", time.gmtime(float(message["ts"])))
        days.setdefault(f"{folders[channel_id]}/{day}.json", []).append(message)
    for path, day_messages in days.items():
        sink.put(path, _json(day_messages))
    for path, content in attachments.items():
        sink.put(path, content.pieces())


def _json(value: object) -> list[bytes]:
    return [json.dumps(value, indent=4).encode()]
