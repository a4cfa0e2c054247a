"""Made-up messages of some 2 KB, like those of a coding agent, as lines of NDJSON; cheap to make by the gigabyte."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

BATCH = 500
LINE = 2_000
"""Bytes of one line, about."""

STREAM = "messages"
_START = datetime(2024, 1, 1, tzinfo=UTC)
_WORDS = ("the", "of", "and", "with", "from", "which", "about", "what", "when", "tomorrow", "agenda", "review")


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


def batches(first: int, count: int) -> Iterator[list[bytes]]:
    """`count` lines numbered from `first` on, in batches; the same number gives the same line."""
    rng = random.Random(0)  # noqa: S311
    text = " ".join(rng.choices(_WORDS, k=40_000))
    for start in range(first, first + count, BATCH):
        yield [_line(number, text) for number in range(start, min(start + BATCH, first + count))]


def _line(number: int, text: str) -> bytes:
    at = number * 7919 % (len(text) - LINE)
    sent_at = (_START + timedelta(seconds=number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    words = text[at : at + LINE - 250]
    return (
        f'{{"key":"m{number:012}","data":{{"id":"m{number:012}","channel_id":"C{number % 97:05}","text":"{words}",'
        f'"sent_at":"{sent_at}"}},"emitted_at":"{sent_at}"}}'
    ).encode()
