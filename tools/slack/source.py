"""The port that every form of a Slack workspace is read through."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, Protocol

SlackObject = dict[str, Any]
"""One object as Slack's API gives it (a user, a channel, a message or a file)."""


class SourceError(Exception):
    """The source cannot be read as a Slack workspace; the message says what is wrong and what to try."""


@dataclass(frozen=True, slots=True)
class Located:
    """Bytes that the source holds for one file.

    `size` is in bytes; `stamp` changes whenever the bytes may have changed (modification time and size of a file,
    CRC and size of a zip member), so that a later run can tell without reading them.
    """

    where: str
    size: int
    stamp: str


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file id: what Slack said of it last, and where the source holds its bytes, if it does."""

    id: str
    slack: SlackObject
    located: Located | None
    deleted: bool = False
    """Slack deleted the file at some time, whatever bytes still lie in the archive."""
    earlier: SlackObject | None = None
    """The newest form that describes the file, where `slack` is only a stub: deleted, hidden or out of reach since."""

    @property
    def described(self) -> SlackObject:
        """The form that describes the bytes: name, type and size."""
        return self.earlier or self.slack


@dataclass(slots=True)
class Strays:
    """What is ignored and counted in the report, with a few examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Source(Protocol):
    """One workspace, read by streaming: memory is bounded by the number of ids, never by messages or bytes.

    Iterators may be asked for again, also while others are under way in the same thread, and yield the same objects in
    the same order each time, each id once: where the source holds an object several times, the newest form wins.
    """

    def channels(self) -> Iterator[SlackObject]:
        """Channels, group conversations and direct messages."""
        ...

    def users(self) -> Iterator[SlackObject]:
        """People and bots."""
        ...

    def messages(self) -> Iterator[tuple[str, SlackObject]]:
        """(channel id, message), threads included; deterministic order."""
        ...

    def files(self) -> Iterator[FileEntry]:
        """Each file id once, wherever it was mentioned, in deterministic order."""
        ...

    def digest(self) -> bytes | None:
        """Of all that objects are read from: where it is the same, so is all that the iterators yield of Slack's.

        None where it cannot be had for much less than reading everything.
        """
        ...

    @property
    def listed(self) -> bytes:
        """A digest of where the attachments are, and of their stamps."""
        ...

    def open(self, located: Located) -> BufferedReader:
        """The bytes for reading from their start. Raises `OSError` when they cannot be read."""
        ...

    @property
    def strays(self) -> Strays:
        """Attachments that belong to no file id; complete once `files` was read to its end."""
        ...

    @property
    def unusable(self) -> Strays:
        """Objects that no record can be made of: without an id, or messages without a time."""
        ...

    def close(self) -> None:
        """Harmless when called twice."""
        ...
