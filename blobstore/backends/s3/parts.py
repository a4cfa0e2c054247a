"""How a large object is cut into parts, and what proves to the store which of them make it up."""

from collections.abc import Iterator, Mapping
from typing import Any

PART = 16 << 20
"""Bytes of a part, and of a file from which on it goes in parts."""

MOST_PARTS = 10_000


def parts_of(size: int) -> Iterator[tuple[int, int, int]]:
    """(number, offset, length) of each part, all alike but the last."""
    length = max(PART, -(-size // MOST_PARTS))
    for number, offset in enumerate(range(0, size, length), 1):
        yield number, offset, min(length, size - offset)


def receipt(number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What completing the object says of a part, from the answer to sending it: checksums too where there are any."""
    sums = {name: value for name, value in answer.items() if name.startswith("Checksum") and name != "ChecksumType"}
    return {"PartNumber": number, "ETag": answer["ETag"], **sums}
