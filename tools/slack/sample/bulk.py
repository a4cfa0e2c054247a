"""Attachments in the numbers and sizes of one real workspace of ten years, or of a share of it."""

from collections.abc import Iterator
from itertools import chain

from tools.slack.sample.content import Content

MESSAGES_PER_FILE = 12
"""186,000 messages to 15,410 files."""

_LARGEST = (810, 700, 620, 560, 500, 450, 400, 360, 330, 300)
"""Millions of bytes; about a fifth of all 24 GB."""

_CLASSES = (
    ("mp4", 295, 10_000_000, 70_000_000),
    ("pdf", 1_940, 1_000_000, 10_000_000),
    ("png", 13_165, 1_000, 1_000_000),
)
"""Kind, files, and the sizes between which they lie evenly by their logarithm. With the largest: 15,410 files."""

_TWICE = 440
"""Every so many files one has the bytes of the one before: 35 in all."""


def bulk(scale: float, size_scale: float) -> Iterator[Content]:
    """The contents: `scale` 1 is all of it, `size_scale` multiplies each size; the largest is always there."""
    largest = [("mp4", size * 1_000_000) for size in _LARGEST[: max(1, round(len(_LARGEST) * scale))]]
    before: Content | None = None
    for number, (kind, size) in enumerate(chain(largest, _spread(scale))):
        content = Content(kind, f"bulk-{number}", round(size * size_scale))
        yield before if number % _TWICE == _TWICE - 1 and before is not None else content
        before = content


def _spread(scale: float) -> Iterator[tuple[str, float]]:
    for kind, files, low, high in _CLASSES:
        count = round(files * scale)
        for number in range(count):
            yield kind, low * (high / low) ** ((number + 0.5) / count)
