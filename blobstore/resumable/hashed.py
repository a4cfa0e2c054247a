"""What was hashed of resumable uploads that nobody sends to: so that going on need not read them again."""

from collections import OrderedDict

from blobstore.digest import Hasher

HASHERS = 256
"""Uploads of which it is remembered; of others all is read again at their end."""


class Hashed:
    """Remembered by one process, of the uploads that it sent to last; it also counts those under way."""

    def __init__(self) -> None:
        self._hashers: OrderedDict[str, Hasher] = OrderedDict()
        self._under_way = 0

    def of(self, id: str, offset: int) -> Hasher:
        """What has hashed a beginning of an upload that has come so far; a new one where nothing is remembered."""
        hasher = self._hashers.pop(id, None)
        return Hasher() if hasher is None or hasher.size > offset else hasher

    def enter(self) -> int:
        """Another one is under way; how many there are."""
        self._under_way += 1
        return self._under_way

    def leave(self, id: str, hasher: Hasher | None) -> None:
        """One is not any more. What it has hashed is remembered."""
        self._under_way -= 1
        if hasher is not None:
            self._hashers[id] = hasher
            while len(self._hashers) > HASHERS:
                self._hashers.popitem(last=False)

    def forget(self, id: str) -> None:
        """It is over."""
        self._hashers.pop(id, None)
