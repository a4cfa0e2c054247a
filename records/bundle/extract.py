"""What an owner's audit log says of one connector, provable without the rest of it. No I/O.

Every event of the log has a line. Those about the connector stand there whole; of the others there is only the hash,
which tells nothing. The hash of an event covers the hash of the one before it, so each event that is shown is proven to
have stood between its neighbours, and the last hash is that of the head which the bundle's signature covers. Whoever
keeps an older checkpoint of the log finds its hash among the lines.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from records import jsontext
from records.audit.heads import Head
from records.audit.spine import GENESIS, chain
from records.central import SpineEvent
from records.errors import BadBag

MAX_LINE = 16 << 20
"""Bytes of a line."""


_ABSENT = msgspec.Raw()


class _Hidden(msgspec.Struct, frozen=True):
    """The place of an event."""

    seq: int
    hash: str


class _Line(_Hidden, frozen=True, forbid_unknown_fields=True):
    """An event; or, where both have nothing, the place of one."""

    at: str = ""
    body: msgspec.Raw = _ABSENT

    @property
    def shown(self) -> bool:
        """Whether the event stands there whole."""
        return bool(self.at)


def line_of(event: SpineEvent, connector: str) -> bytes:
    """The line of an event; whole where it is about the connector."""
    place = _Hidden(event.seq, event.hash.hex())
    if is_about(event.body, connector):
        place = _Line(event.seq, event.hash.hex(), event.at, msgspec.Raw(event.body))
    return jsontext.encode(place) + b"\n"


def is_about(body: bytes, connector: str) -> bool:
    """Whether an event names the connector."""
    said: dict[str, Any] = jsontext.decode(body)
    scope = said.get("scope")
    named = [said.get("connector"), scope.get("connector_id") if isinstance(scope, dict) else None]
    several = said.get("connectors")
    return connector in named or (isinstance(several, list) and several == [connector])


class Checker:
    """Holds lines against each other, and the last against the head."""

    def __init__(self, connector: str, head: Head | None) -> None:
        self._connector = connector
        self._head = head
        self._seq = 0
        self._hash = GENESIS
        self.events = 0
        """Those that are shown."""

    def feed(self, lines: Iterable[bytes]) -> None:
        """The next lines, without their ends. Raises `BadBag`."""
        for raw in lines:
            line = _read(raw)
            if line.seq != self._seq + 1:
                raise BadBag(f"its audit log has no event {self._seq + 1}")
            if line.shown:
                self._check(line)
            self._seq, self._hash = line.seq, bytes.fromhex(line.hash)

    def finish(self) -> None:
        """Raise `BadBag` unless the log ends with the head."""
        if self._head is not None and (self._seq, self._hash.hex()) != (self._head.seq, self._head.hash):
            raise BadBag("its audit log does not end where its signature says")

    def _check(self, line: _Line) -> None:
        body = bytes(line.body)
        if chain(self._hash, line.seq, line.at, body).hex() != line.hash:
            raise BadBag(f"event {line.seq} of its audit log is not what was written")
        if not is_about(body, self._connector):
            raise BadBag(f"event {line.seq} of its audit log is about something else")
        self.events += 1


def _read(raw: bytes) -> _Line:
    try:
        line = msgspec.json.decode(raw, type=_Line)
        if len(bytes.fromhex(line.hash)) != len(GENESIS) or bool(bytes(line.body)) != line.shown or len(line.at) > 64:
            raise ValueError("no hash, or half an event")
        if line.shown:
            jsontext.decode(bytes(line.body))["kind"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadBag(f"a line of its audit log is none: {error}") from None
    return line
