"""What a server answers, in the shapes of docs/http-reference.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

_LONGEST = 500
"""Characters of a message that are kept."""


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What a server says of an error."""

    code: str = ""
    message: str = ""
    param: str | None = None
    request_id: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


class _Envelope(msgspec.Struct):
    error: ErrorAnswer


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer that fits into memory; names of headers in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> ErrorAnswer:
        """What it says of an error, shortened; empty when it says nothing readable."""
        try:
            said = msgspec.json.decode(self.body, type=_Envelope).error
        except msgspec.DecodeError:
            return ErrorAnswer()
        return msgspec.structs.replace(said, message=said.message[:_LONGEST])


class Stored(msgspec.Struct, frozen=True):
    """What the server says it stored; `sha256` (hex) and `size_bytes` were checked against what was sent."""

    blob_id: str
    sha256: str
    size_bytes: int
    mime_type: str


class Rejection(msgspec.Struct, frozen=True):
    """One line that the server refused for good; `index` counts the lines of its batch from 0."""

    index: int
    code: str
    message: str = ""


class Record(msgspec.Struct, frozen=True):
    """A record, or in a list of changes what is said of one that is gone (`deleted`, then without `data`)."""

    id: str
    stream: str
    connector_id: str
    connector_instance_id: str
    emitted_at: str
    data: dict[str, Any] = {}
    expanded: dict[str, Any] = {}
    deleted: bool = False
    deleted_at: str | None = None


class RejectionAnswer(msgspec.Struct):
    """One of the rejections in an `IngestReport`."""

    input_index: int
    code: str
    message: str = ""


class IngestAnswer(msgspec.Struct):
    """An `IngestReport`."""

    records_attempted: int
    records_rejected: int = 0
    rejections: list[RejectionAnswer] = []


class StateAnswer(msgspec.Struct):
    """A `State`."""

    state: dict[str, Any] = {}


class Challenge(msgspec.Struct):
    """What has to be shown by whoever does not send a blob: of each range the first byte, and the first beyond."""

    token: str
    key: str
    ranges: list[tuple[int, int]]


class Presence(msgspec.Struct):
    """Whether a connector has a blob."""

    blob_id: str
    have: bool
    challenge: Challenge | None = None


class PresenceList(msgspec.Struct):
    """The answer of `POST /v1/blobs/have`."""

    data: list[Presence]


class RecordPage(msgspec.Struct):
    """A `RecordList`."""

    data: list[Record]
    has_more: bool
    next_cursor: str | None = None
    next_changes_since: str | None = None


class Listing(msgspec.Struct):
    """Any list that goes on after a number or an id."""

    data: list[dict[str, Any]]
    has_more: bool = False
    next_after: int | str | None = None
