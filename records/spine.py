"""The hash chain of an owner's audit log: what an event says, how it is chained, how an auditor checks it.

An event's body is canonical JSON: one object, members sorted, no spaces, UTF-8. It has `kind` and facts without
content; a record's key stands there only as a keyed digest (`Keyring.key_digest`).

    hash = BLAKE3-derive-key(CONTEXT, previous || seq (8 bytes, big-endian) || length of `at` (1 byte) || at || body)

with `previous` the hash of the event before, or 32 zero bytes before the first, whose `seq` is 1.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from records.central import SpineEvent

CONTEXT = "blobstore 2026-11 spine event"
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a chain is broken, and a sentence that says how."""

    seq: int
    message: str


def body(kind: str, facts: Mapping[str, object] | None = None) -> bytes:
    """The body of an event. Raises `ValueError` for facts that are not JSON or that have a member `kind`."""
    raise NotImplementedError


def chain(previous: bytes, seq: int, at: str, body: bytes) -> bytes:
    """The hash of an event: 32 bytes."""
    raise NotImplementedError


class Verifier:
    """Checks a chain event by event, in constant memory."""

    def __init__(self, after: int = 0, previous: bytes = GENESIS) -> None:
        """Begin beyond the event `after`, whose hash is `previous`."""
        raise NotImplementedError

    def feed(self, event: SpineEvent) -> list[Fault]:
        """What is wrong with the next event, or between it and the one before."""
        raise NotImplementedError

    def finish(self, seq: int, hash: bytes) -> list[Fault]:
        """What is wrong with the chain's end, which is known to be this event (a receipt, a checkpoint)."""
        raise NotImplementedError


def verify(
    events: Iterable[SpineEvent],
    *,
    after: int = 0,
    previous: bytes = GENESIS,
    head: tuple[int, bytes] | None = None,
) -> Iterator[Fault]:
    """Every fault of a chain: edited, dropped, added or reordered events.

    `head` is the (seq, hash) that the chain is known to have reached; without it a cut-off end cannot be seen.
    """
    raise NotImplementedError
