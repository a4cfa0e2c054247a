"""Made-up messages of some 2 KB, like those of a coding agent, as lines of NDJSON; cheap to make by the gigabyte."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

BATCH = 500
LINE = 2_000
"""Bytes of one line, about."""

STREAM = "messages"
_START = datetime(2024, 1, 1, tzinfo=UTC)
_LETTERS = bytes(b"abcdefghijklmnopqrstuvwxyzaeiou "[number % 32] for number in range(256))


def manifest(connector: str) -> dict[str, object]:
    """A connector with one stream of such messages."""
    fields = ("id", "channel_id", "text", "sent_at")
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in fields}, "required": ["id"]}
    return {
        "connector_id": connector,
        "version": "1",
        "display_name": connector,
        "streams": [
            {
                "name": STREAM,
                "semantics": "mutable_state",
                "primary_key": ["id"],
                "cursor_field": "sent_at",
                "consent_time_field": "sent_at",
                "schema": schema,
            }
        ],
    }


def batches(connector: str, first: int, count: int) -> Iterator[list[bytes]]:
    """`count` lines numbered from `first` on, in batches; the same connector and number give the same line."""
    for start in range(first, first + count, BATCH):
        yield [_line(connector, number) for number in range(start, min(start + BATCH, first + count))]


def _line(connector: str, number: int) -> bytes:
    sent_at = (_START + timedelta(seconds=number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    # No two lines have a text in common: what they share, an erasure would find all over again in living rows.
    words = hashlib.shake_128(f"{connector} {number}".encode()).digest(LINE - 250).translate(_LETTERS).decode()
    return (
        f'{{"key":"m{number:012}","data":{{"id":"m{number:012}","channel_id":"C{number % 97:05}","text":"{words}",'
        f'"sent_at":"{sent_at}"}},"emitted_at":"{sent_at}"}}'
    ).encode()
