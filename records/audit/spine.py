"""The hash chain of an owner's audit log: what an event says, how it is chained, how an auditor checks it.

An event's body is canonical JSON: one object, members sorted, no spaces, UTF-8. It has `kind` and facts without
content; a record's key stands there only as a keyed digest (`Keyring.key_digest`). The hash of an event is

    BLAKE3-derive-key(CONTEXT, previous || seq (8 bytes, big-endian) || length of `at` (1 byte) || at || body)

with `previous` the hash of the event before it, or 32 zero bytes before the first, whose `seq` is 1. Anyone can
compute it: who may write the whole database can also make a new chain, so a hash that was kept elsewhere (a receipt,
a checkpoint) is what proves an old one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from blobstore.digest import derive
from records import jsontext
from records.central import SpineEvent

CONTEXT = "blobstore 2026-11 spine event"
GENESIS = bytes(32)
NOTHING_KNOWN: Mapping[int, bytes] = {}


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a chain is broken, and a sentence that says how."""

    seq: int
    message: str


def body(kind: str, facts: Mapping[str, object] | None = None) -> bytes:
    """The body of an event. Raises `ValueError` for facts with a member `kind`, `TypeError` for what is not JSON."""
    facts = facts or {}
    if "kind" in facts:
        raise ValueError("kind is not a fact")
    return jsontext.canonical({"kind": kind, **facts})


def chain(previous: bytes, seq: int, at: str, body: bytes) -> bytes:
    """The hash of an event: 32 bytes. Raises `ValueError` for a `previous` of another length or an `at` over 255."""
    if len(previous) != len(GENESIS):
        raise ValueError("a hash has 32 bytes")
    moment = at.encode()
    return derive(CONTEXT, b"".join((previous, seq.to_bytes(8), len(moment).to_bytes(1), moment, body)))


def risen(events: Iterable[tuple[int, bytes]], delivered: int) -> list[tuple[int, bytes]]:
    """Those of an outbox's events whose number is above `delivered` and above every one before it."""
    fresh = []
    for number, body in events:
        if number > delivered:
            delivered = number
            fresh.append((number, body))
    return fresh


class Verifier:
    """Checks a chain event by event, in constant memory."""

    def __init__(self, after: int = 0, previous: bytes = GENESIS, known: Mapping[int, bytes] = NOTHING_KNOWN) -> None:
        """Begin beyond the event `after`, whose hash is `previous`. `known`: hashes by seq, kept elsewhere."""
        self._seq = after
        self._hash = previous
        self._known = known

    def feed(self, event: SpineEvent) -> list[Fault]:
        """What is wrong with the next event, or between it and the one before."""
        return [Fault(event.seq, message) for message in self._complaints(event)]

    def finish(self) -> list[Fault]:
        """What is missing at the end: known events that never came."""
        return [
            Fault(seq, f"Event {seq} is missing: the chain ends at {self._seq}.")
            for seq in sorted(self._known)
            if seq > self._seq
        ]

    def _complaints(self, event: SpineEvent) -> Iterator[str]:
        seq = event.seq
        if not _is_intact(event):
            yield f"Event {seq} was edited: its hash is not that of its content."
        if self._known.get(seq, event.hash) != event.hash:
            yield f"Event {seq} was replaced: its hash is not the one that was kept elsewhere."
        if seq <= self._seq:
            yield f"Event {seq} is out of order: it stands after event {self._seq}."
            return  # the chain goes on where it was
        if seq > self._seq + 1:
            yield f"{_between(self._seq + 1, seq - 1)} missing before event {seq}."
        elif event.previous != self._hash:
            yield f"Event {seq} does not follow the event before it: one of the two was edited or replaced."
        self._seq, self._hash = seq, event.hash


def verify(
    events: Iterable[SpineEvent],
    *,
    after: int = 0,
    previous: bytes = GENESIS,
    known: Mapping[int, bytes] = NOTHING_KNOWN,
) -> Iterator[Fault]:
    """Every fault of a chain: edited, dropped, added or reordered events, in the order of the events.

    `known` are hashes by seq that were kept elsewhere: without one a cut-off end cannot be seen.
    """
    verifier = Verifier(after, previous, known)
    for event in events:
        yield from verifier.feed(event)
    yield from verifier.finish()


def _is_intact(event: SpineEvent) -> bool:
    try:
        return chain(event.previous, event.seq, event.at, event.body) == event.hash
    except (ValueError, OverflowError):
        return False


def _between(first: int, last: int) -> str:
    return f"Event {first} is" if first == last else f"Events {first} to {last} are"
