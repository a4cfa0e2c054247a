"""Manifests that were decoded lately, so that one that is asked for again and again is decoded once."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from records import manifest
from records.manifest import Manifest

CAPACITY = 4 << 20
"""Bytes of their texts, about 4,000 of usual length. Decoded they take five to ten times as much."""


class Manifests:
    """Remembers the last ones within the capacity, whosever they are. Threads may share it."""

    def __init__(self, capacity: int = CAPACITY, decode: Callable[[bytes], Manifest] = manifest.decode) -> None:
        self._free = capacity
        self._decode = decode
        self._known: OrderedDict[bytes, Manifest] = OrderedDict()
        self._changing = threading.Lock()

    def decoded(self, raw: bytes) -> Manifest:
        """What the text says. Raises `Invalid` as `manifest.decode` does, and remembers no failure."""
        with self._changing:
            if raw in self._known:
                self._known.move_to_end(raw)
                return self._known[raw]
        found = self._decode(raw)  # up to half a second: others go on meanwhile
        with self._changing:
            if raw not in self._known:
                self._known[raw] = found
                self._free -= len(raw)
            while self._free < 0:
                self._free += len(self._known.popitem(last=False)[0])
        return found
