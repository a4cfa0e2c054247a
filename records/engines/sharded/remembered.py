"""What a process remembers of shards at rest, so that it need not open them again; a bounded amount of it.

It holds as long as the central store says that the shard rests under the number that it had: then nobody wrote since.
What was erased is thus never given again.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from records.shards import Home

V = TypeVar("V")

BYTES = 64 << 20
"""Of memory, about."""


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    shard: str
    number: int
    value: V
    size: int


class Remembered(Generic[V]):
    """Values about shards, each by a name of its own; `size` says how many bytes one takes."""

    def __init__(self, size: Callable[[V], int], limit: int = BYTES) -> None:
        self._size = size
        self._limit = limit
        self._kept: OrderedDict[Hashable, _Kept[V]] = OrderedDict()
        self._total = 0

    def get(self, name: Hashable, home: Home) -> V | None:
        """What is remembered, if it still holds."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        if home.left is None or (kept.shard, kept.number) != (home.shard, home.number):
            self._drop(name)
            return None
        self._kept.move_to_end(name)
        return kept.value

    def put(self, name: Hashable, home: Home, value: V) -> None:
        """Remember what was read after the central store said that this is the home; of an awake one nothing is."""
        self._drop(name)
        if home.left is not None:
            size = self._size(value)
            self._kept[name] = _Kept(home.shard, home.number, value, size)
            self._total += size
        while self._total > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: Hashable) -> None:
        if (kept := self._kept.pop(name, None)) is not None:
            self._total -= kept.size
