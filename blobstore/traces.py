"""Traces: what of known samples stands anywhere in a text or a file, past whatever wrote it. No knowledge of formats.

Samples are indexed by all their words of 8 bytes, at any offset, and a text is looked at in words at every 16th of its
offsets. A run of 32 bytes that text and sample have in common holds such a word wherever it lies, so none is missed,
and the time does not depend on how many samples there are. Memory: some hundred bytes for each byte of the samples.
"""

import os
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

SHORTEST = 32
"""Bytes of a sample at least, and of a run that counts: shorter ones are alike by chance."""

LONGEST = 96
"""Bytes of a sample at most; what is looked at twice at the border of two blocks."""

BLOCK = 256 << 10
"""Bytes of a file that are in memory at once."""

_NOTHING = bytes(BLOCK + LONGEST)
_WORD, _STEP = 8, 2
_HALF = SHORTEST // 2
_DISTINCT = 3
_COMMON = 8


def is_distinctive(sample: bytes) -> bool:
    """Whether a sample may be told from what stands everywhere, such as zeros and other filling."""
    return SHORTEST <= len(sample) <= LONGEST and len(set(sample)) >= 12


class _Place(NamedTuple):
    """Where a word stands in a sample, with what follows and what comes before it.

    A run of `SHORTEST` bytes around the word has one of the two in it. None where the sample has not as much.
    """

    sample: int
    offset: int
    following: bytes | None
    preceding: bytes | None


class Traces:
    """Finds runs of samples; each of them should be distinctive, and none longer than `LONGEST`."""

    def __init__(self, samples: Sequence[bytes], *, every: bool = False) -> None:
        """`every`: also runs that show nothing but what many samples have in common, or filling; takes longer."""
        self._samples = samples
        places = defaultdict[int, list[_Place]](list)
        for number, sample in enumerate(samples):
            for offset in range(len(sample) - _WORD + 1):
                word = sample[offset : offset + _WORD]
                if every or len(set(word)) >= _DISTINCT:
                    places[int.from_bytes(word, "little")].append(_place(sample, number, offset))
        # What many samples have in common is the form of records rather than what stands in them.
        self._places = {word: where for word, where in places.items() if every or _is_rare(where)}
        self._words = set(self._places)

    def __len__(self) -> int:
        return len(self._samples)

    def in_text(self, text: bytes, beside: Container[int] = ()) -> Iterator[tuple[int, int]]:
        """(offset, number of the sample) of every run, some more than once; not of the samples in `beside`."""
        words = _words(text)
        known = self._words.intersection(words)
        if not known:
            return
        for index, word in enumerate(words):
            if word in known:
                at = index * _STEP * _WORD
                following, preceding = text[at : at + _HALF], text[max(at - _HALF, 0) : at + _WORD]
                for place in self._places[word]:
                    if place.sample in beside:
                        continue
                    if place.following == following or place.preceding == preceding:
                        start, length = _run(text, at, self._samples[place.sample], place.offset)
                        if length >= SHORTEST:
                            yield start, place.sample

    def in_file(self, descriptor: int) -> Iterator[tuple[int, int]]:
        """The first run of each sample in an open file from where it stands, in constant memory."""
        buffer, base, seen = b"", 0, set[int]()
        while block := os.read(descriptor, BLOCK):
            buffer += block
            # Pages of a database that are free hold nothing else.
            runs = () if buffer == _NOTHING[: len(buffer)] else self.in_text(buffer, seen)
            for offset, number in runs:
                if number not in seen:
                    seen.add(number)
                    yield base + offset, number
            tail = buffer[-LONGEST:]
            base += len(buffer) - len(tail)
            buffer = tail


def _is_rare(places: list[_Place]) -> bool:
    return len({place.sample for place in places}) <= _COMMON


def _place(sample: bytes, number: int, offset: int) -> _Place:
    following = sample[offset : offset + _HALF] if offset + _HALF <= len(sample) else None
    preceding = sample[offset - _HALF : offset + _WORD] if offset >= _HALF else None
    return _Place(number, offset, following, preceding)


def _words(text: bytes) -> list[int]:
    whole = len(text) // _WORD * _WORD
    words: list[int] = memoryview(text)[:whole].cast("Q")[::_STEP].tolist()
    return words


def _run(text: bytes, at: int, sample: bytes, offset: int) -> tuple[int, int]:
    """Where the longest run through this word begins in the text, and its length."""
    before = 0
    while before < min(at, offset) and text[at - before - 1] == sample[offset - before - 1]:
        before += 1
    length = _WORD
    most = min(len(text) - at, len(sample) - offset)
    while length < most and text[at + length] == sample[offset + length]:
        length += 1
    return at - before, before + length
