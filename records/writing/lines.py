"""Lines of an ingest: bytes into lines, and one line into the mutation that it asks for.

What is kept of a record is the JSON text of its `data`, byte for byte; only a `fetch_url` in a blob reference makes it
be written anew. Limits: `MAX_LINE` bytes a line, `jsontext.MAX_DEPTH` levels of nesting, about `MAX_CURSOR_VALUE`
bytes for the cursor field's value; no member name twice in one object; no number beyond a double's range.
"""

from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from records import jsontext, keys, order, times
from records.errors import Invalid, RecordError
from records.manifest import StreamDeclaration
from records.model import Delete, Link, Put, SortKey
from records.writing import links
from records.writing.links import BlobRef
from records.writing.validation import Check

MAX_LINE = 16 << 20
MAX_CURSOR_VALUE = 2048


class Rejected(RecordError):
    """This line will never be accepted. `code` is the contract's; `key` is there when it could be read."""

    def __init__(self, code: str, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.key = key


class TooLong(RecordError):
    """A line over `MAX_LINE`. `number` counts all lines from 1, `index` the lines that are not blank from 0."""

    def __init__(self, number: int, index: int) -> None:
        super().__init__(f"line {number} is longer than {MAX_LINE} bytes; the lines before it are judged by themselves")
        self.number = number
        self.index = index


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line that is not blank, without its end. `number` counts all lines from 1, `index` those not blank from 0."""

    number: int
    index: int
    raw: bytes


class Splitter:
    """Cuts a body into lines as it arrives. Blank lines are skipped; a line may end with LF, CRLF or the body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._number = 0
        self._index = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that these bytes complete; take them all before feeding more.

        Raises `TooLong` after the lines before the one that is; nothing more may be fed then.
        """
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            yield from self._complete()
            start = end + 1
        self._keep(data[start:])

    def finish(self) -> Iterator[Line]:
        """The last line, if the body did not end with a line end."""
        yield from self._complete()

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_LINE:
            raise TooLong(self._number + 1, self._index)
        self._pieces.append(piece)

    def _complete(self) -> Iterator[Line]:
        raw = b"".join(self._pieces).removesuffix(b"\r")
        self._pieces = []
        self._size = 0
        self._number += 1
        if raw and not raw.isspace():
            self._index += 1
            yield Line(self._number, self._index - 1, raw)


class ParsedPut(msgspec.Struct, frozen=True, gc=False):
    """A record to store, its references not yet resolved."""

    key: str
    sort: SortKey
    data: bytes
    emitted_at: str
    refs: tuple[BlobRef, ...] = ()

    def put(self, links: tuple[Link, ...]) -> Put:
        """The mutation, once each reference has its link."""
        return Put(self.key, self.sort, self.data, self.emitted_at, links)


class _Envelope(msgspec.Struct):
    key: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    emitted_at: Any = None
    op: Any = None


_envelope = msgspec.json.Decoder(_Envelope)


def parse_line(raw: bytes, declaration: StreamDeclaration, check: Check | None = None) -> ParsedPut | Delete:
    """What one line asks for; `check` judges the data of a record. Raises `Rejected`.

    Codes: `invalid_utf8`, `malformed_ndjson` (not JSON), `invalid_record_identity` (no key, or one that the data
    contradicts), `invalid_record` (anything else that is wrong), `blob_not_stored` (a `blob_ref` that names no blob).
    A deletion's `deleted_at` is `data.deleted_at` if that is a date-time, else `emitted_at`.
    """
    envelope = _decoded_envelope(raw)
    key = None
    try:
        key = keys.canonical(envelope.key, declaration.primary_key)
        if not times.is_date_time(envelope.emitted_at):
            raise _invalid("emitted_at must be an RFC 3339 date-time such as 2026-11-23T10:00:00Z")
        text = bytes(envelope.data)
        data = _decoded_data(text)
        if envelope.op is None or envelope.op == "upsert":
            return _put(key, envelope.emitted_at, text, data, declaration, check)
        if envelope.op == "delete":
            return _delete(key, envelope.emitted_at, data, declaration)
        raise _invalid('op must be "upsert" or "delete"')
    except Invalid as error:
        raise Rejected(error.code, str(error), key) from None


def _put(
    key: str, emitted_at: str, text: bytes, data: object, declaration: StreamDeclaration, check: Check | None
) -> ParsedPut:
    if not isinstance(data, dict):
        raise _invalid("data must be an object")
    keys.require_agreement(key, data, declaration.primary_key)
    if check is not None:
        check(data)
    canonical = jsontext.canonical(data)
    if jsontext.has_duplicate_members(text, canonical):
        raise _invalid("data has an object with two members of one name")
    refs: list[BlobRef] = []
    if links.may_hold(text, b"blob_"):
        refs = links.find(data)
        if refs and links.may_hold(text, b"fetch_url"):
            text = _without_fetch_urls(text)
    cursor = None if declaration.cursor_field is None else data.get(declaration.cursor_field)
    return ParsedPut(key, _sort_key(cursor), text, emitted_at, tuple(refs))


def _sort_key(cursor: object) -> SortKey:
    sort = order.sort_key(cursor)
    # The place in a list goes into page cursors, and these into URLs.
    if len(sort.cursor) > MAX_CURSOR_VALUE:
        raise _invalid(f"the cursor field's value is longer than {MAX_CURSOR_VALUE} bytes")
    return sort


def _delete(key: str, emitted_at: str, data: object, declaration: StreamDeclaration) -> Delete:
    if data is not None and not isinstance(data, dict):
        raise _invalid("the data of a deletion must be an object, if there is any")
    data = data or {}
    keys.require_no_contradiction(key, data, declaration.primary_key)
    # A tombstone holds no content: a text that is no time does not get into it, and the deletion is done all the same.
    deleted_at = data.get("deleted_at")
    return Delete(key, deleted_at if times.is_date_time(deleted_at) else emitted_at, emitted_at)


def _without_fetch_urls(text: bytes) -> bytes:
    """The text without what readers only see; itself when there is none."""
    exact = jsontext.decode_exact(text)
    stripped = links.without_fetch_urls(exact)
    return text if stripped is exact else jsontext.encode(stripped)


def _decoded_envelope(raw: bytes) -> _Envelope:
    if not raw.isascii():
        _require_utf8(raw)  # the decoder does not look at what it skips
    try:
        return _envelope.decode(raw)
    except RecursionError:
        _reject_depth()
    except msgspec.ValidationError as error:
        if raw.lstrip()[:1] != b"{":
            raise Rejected("invalid_record", "the line must be a JSON object") from None
        raise Rejected("invalid_record", str(error)) from None
    except ValueError as error:
        raise Rejected("malformed_ndjson", str(error)) from None


def _require_utf8(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise Rejected("invalid_utf8", f"byte {error.start} of the line is not UTF-8") from None


def _decoded_data(text: bytes) -> object:
    try:
        data = jsontext.decode(text)
    except RecursionError:
        _reject_depth()
    except ValueError as error:  # of valid JSON only numbers are refused
        raise _invalid(f"data: {error}") from None
    if jsontext.is_too_deep(text, data):
        _reject_depth()
    return data


def _reject_depth() -> NoReturn:
    raise Rejected("invalid_record", f"data is nested in more than {jsontext.MAX_DEPTH} levels")


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="invalid_record")
