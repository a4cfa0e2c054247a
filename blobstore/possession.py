"""Possession: to show that one has the bytes of a blob without sending all of them.

The server chooses a key, which says what ranges of the blob are asked for. Whoever has the bytes hashes these ranges
under the key. Nothing can be prepared before the key is known. Whoever lacks a share *f* of a large blob finds all that
is asked for with a chance of (1 - f) ** `COUNT` at most.
"""

from collections.abc import Iterable

from blake3 import blake3

from blobstore.digest import derive

WHOLE = 1 << 20
"""Bytes of a blob that is hashed as a whole; of a larger one only some ranges are."""

COUNT, LENGTH = 32, 32 << 10
"""Ranges, and bytes of each."""

_CONTEXT = "blobstore 2026-11 possession: which ranges"


def ranges(key: bytes, size: int) -> list[tuple[int, int]]:
    """What is asked for, in this order; of each range the first byte, and the first beyond it. They may overlap.

    >>> ranges(bytes(32), 100), ranges(bytes(32), 0)
    ([(0, 100)], [(0, 0)])
    >>> found = ranges(bytes(32), 1 << 30)
    >>> len(found), {stop - start for start, stop in found}, max(found)[1] <= 1 << 30
    (32, {32768}, True)
    """
    if size <= WHOLE:
        return [(0, size)]
    numbers = derive(_CONTEXT, key, COUNT * 16)
    places = [int.from_bytes(numbers[at : at + 16]) % (size - LENGTH + 1) for at in range(0, len(numbers), 16)]
    return [(start, start + LENGTH) for start in places]


def prove(key: bytes, pieces: Iterable[bytes]) -> str:
    """The proof: 64 hexadecimal digits, of the bytes of all ranges in their order."""
    hasher = blake3(key=key, max_threads=1)
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()
