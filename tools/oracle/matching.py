"""Which value of one server stands for which of another: opaque values one to one, moments in one order.

A server makes values that nobody can foretell: ids, tokens, cursors, digests with a key of its own, moments. They are
never left out of the comparison. An opaque value of the first server that stands where the other has another is from
then on that other one, everywhere, and nothing else is; a moment must be of this run, and two moments that one server
has in some order the other has not in the opposite order.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from records import times

_WORD = re.compile(rb"[A-Za-z0-9_\-]{12,}")
"""What may be a value that a server made: as long as the shortest of them, in the characters that they have."""

_ID = re.compile(rb"cin_[0-9a-f]{24}")
"""What of these may stand in a file that is no text, where letters may be beside it."""

BEFORE, BEYOND = timedelta(seconds=30), timedelta(days=8)
"""How far from the run a moment may lie: clocks differ a little, and what is claimed or leased ends in a week."""


class Unlike(Exception):
    """Two answers do not say the same; the message says where."""


class Matching:
    """Values of the first server, each with the one that another server has in its place."""

    def __init__(self, began: datetime | None = None) -> None:
        self._there: dict[bytes, bytes] = {}
        self._back: dict[bytes, bytes] = {}
        self._earliest = times.text((began or datetime.now(UTC)) - BEFORE)
        self._moments: dict[str, list[tuple[str, str]]] = {}

    def pair(self, ours: bytes, theirs: bytes, where: str) -> None:
        """The two stand for each other. Raises `Unlike` where one of them stands for something else already.

        `ours` comes from a text that was translated: what is there one of theirs had been another one.
        """
        if ours in self._back:
            raise Unlike(f"{where}: {ours.decode()} is another one here: {theirs.decode()}")
        if self._there.get(ours, theirs) != theirs or self._back.get(theirs, ours) != ours:
            raise Unlike(f"{where}: {ours.decode()} was {self._known(ours, theirs)} before, not {theirs.decode()}")
        self._there[ours], self._back[theirs] = theirs, ours

    def pair_moments(self, kind: str, ours: str, theirs: str, where: str) -> None:
        """The two are of one act. Raises `Unlike` for what cannot be: see above. Moments of one `kind` are compared."""
        self.require_moments(ours, theirs, where)
        known = self._moments.setdefault(kind, [])
        # What is earlier than ours with the latest of theirs, and what is later with the earliest: `known` is in order.
        below, above = bisect_left(known, (ours, "")), bisect_left(known, (ours, "~"))
        new = (ours, theirs)
        for before, after in ((known[max(below - 1, 0) : below], [new]), ([new], known[above : above + 1])):
            if before and after and before[0][1] > after[0][1]:
                raise Unlike(f"{where}: {before[0]} and {after[0]} are in opposite orders")
        at = bisect_left(known, new)
        if known[at : at + 1] != [new]:
            known.insert(at, new)

    def require_moments(self, ours: str, theirs: str, where: str) -> None:
        """Raise `Unlike` unless both are moments of this run, as servers write them."""
        latest = times.text(datetime.now(UTC) + BEYOND)
        for moment in (ours, theirs):
            if times.moment(moment) is None or not self._earliest <= moment <= latest:
                raise Unlike(f"{where}: {moment} is no moment of this run ({ours} and {theirs})")

    def translated(self, text: bytes) -> bytes:
        """A text of the first server with the other's values in the places of its own."""
        return _WORD.sub(lambda word: self._there.get(word[0], word[0]), text)

    def translated_binary(self, data: bytes) -> bytes:
        """The same for a file that is no text."""
        return _ID.sub(lambda word: self._there.get(word[0], word[0]), data)

    def translated_text(self, text: str) -> str:
        """The same for a text that is no bytes yet."""
        return self.translated(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _known(self, ours: bytes, theirs: bytes) -> str:
        return " and ".join(value.decode() for value in self._found(ours, theirs))

    def _found(self, ours: bytes, theirs: bytes) -> Iterator[bytes]:
        if ours in self._there:
            yield self._there[ours]
        if theirs in self._back:
            yield b"the place of " + self._back[theirs]
