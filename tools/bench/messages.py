"""Made-up messages as lines of NDJSON: 250 to 300 bytes each, keys and cursor values rising."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from records.manifest import StreamDeclaration, decode

_WORDS = ("the", "of", "and", "with", "from", "which", "about", "what", "when", "tomorrow", "agenda", "review")
_START = datetime(2024, 1, 1, tzinfo=UTC)
_FIELDS = ("id", "channel_id", "user_id", "ts", "text", "sent_at")

MANIFEST = {
    "connector_id": "bench",
    "version": "1",
    "display_name": "Benchmark",
    "streams": [
        {
            "name": "messages",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "cursor_field": "sent_at",
            "consent_time_field": "sent_at",
            "schema": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in _FIELDS},
                "required": ["id"],
            },
        }
    ],
}


def declaration() -> StreamDeclaration:
    """The stream that the messages belong to."""
    return decode(msgspec.json.encode(MANIFEST)).streams["messages"]


def messages(count: int) -> Iterator[bytes]:
    """The same lines each time, without line ends."""
    rng = random.Random(count)  # noqa: S311
    moment = _START
    for _ in range(count):
        moment += timedelta(microseconds=rng.randrange(1, 60_000_000))
        yield msgspec.json.encode(_message(rng, moment))


def _message(rng: random.Random, moment: datetime) -> dict[str, object]:
    seconds, fraction = divmod(round(moment.timestamp() * 1_000_000), 1_000_000)
    ts, sent_at = f"{seconds}.{fraction:06}", moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    key = f"C01BENCH:{ts}"
    values = (key, "C01BENCH", f"U0{rng.randrange(1000):06}", ts, " ".join(rng.choices(_WORDS, k=6)), sent_at)
    return {"key": key, "data": dict(zip(_FIELDS, values, strict=True)), "emitted_at": sent_at}
