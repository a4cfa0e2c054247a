"""Lines of an ingest: bytes into lines, and one line into the mutation that it asks for.

What is kept of a record is the JSON text of its `data`, byte for byte; only a `fetch_url` in a blob reference makes it
be written anew. Limits: `MAX_LINE` bytes a line, `MAX_DEPTH` levels of nesting.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from records.links import BlobRef
from records.manifest import StreamDeclaration
from records.model import Delete, Link, Put, SortKey

MAX_LINE = 16 << 20
MAX_DEPTH = 512


class Rejected(Exception):
    """This line will never be accepted. `code` is the contract's; `key` is there when it could be read."""

    def __init__(self, code: str, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.key = key


class TooLong(Exception):
    """A line over `MAX_LINE`. `number` counts all lines from 1, `index` the lines that are not blank from 0."""

    def __init__(self, number: int, index: int) -> None:
        super().__init__(f"line {number} is longer than {MAX_LINE} bytes")
        self.number = number
        self.index = index


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank, without its end. `number` counts all lines from 1, `index` those not blank from 0."""

    number: int
    index: int
    raw: bytes


class Splitter:
    """Cuts a body into lines as it arrives. Blank lines are skipped; a line may end with LF, CRLF or the body."""

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that these bytes complete; take them all before feeding more.

        Raises `TooLong` after the lines before the one that is; nothing more may be fed then.
        """
        raise NotImplementedError

    def finish(self) -> Iterator[Line]:
        """The last line, if the body did not end with a line end."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ParsedPut:
    """A record to store, its references not yet resolved. `fingerprint` has 16 bytes, equal for equal content."""

    key: str
    sort: SortKey
    data: bytes
    emitted_at: str
    fingerprint: bytes
    refs: tuple[BlobRef, ...] = ()

    def put(self, links: tuple[Link, ...]) -> Put:
        """The mutation, once each reference has its link."""
        return Put(self.key, self.sort, self.data, self.emitted_at, self.fingerprint, links)


def parse_line(raw: bytes, declaration: StreamDeclaration) -> ParsedPut | Delete:
    """What one line asks for. Raises `Rejected`.

    Codes: `invalid_utf8`, `malformed_ndjson` (not JSON), `invalid_record_identity` (no key, or one that the data
    contradicts), `invalid_record` (anything else that is wrong), `blob_not_stored` (a `blob_ref` that names no blob).
    A deletion's `deleted_at` is `data.deleted_at` if that is a date-time, else `emitted_at`.
    """
    raise NotImplementedError
