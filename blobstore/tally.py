"""What one process has done to a store since it opened it: plain counts, for whoever measures it."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Count:
    """Blobs and their bytes, together."""

    blobs: int = 0
    bytes: int = 0

    def add(self, sizes: Iterable[int]) -> None:
        """So many more, of these sizes in bytes."""
        for size in sizes:
            self.blobs += 1
            self.bytes += size


@dataclass(slots=True)
class Tally:
    """Uploads whose bytes were new, and those whose bytes were there already; what was removed, and hashed again.

    `removed`: by the first word of the reason (`Condemned`). `bad`: hashed blobs that were not good, by verdict.
    """

    stored: Count = field(default_factory=Count)
    duplicate: Count = field(default_factory=Count)
    removed: dict[str, Count] = field(default_factory=dict)
    verified: Count = field(default_factory=Count)
    bad: dict[str, int] = field(default_factory=dict)

    def remove(self, reason: str, size: int) -> None:
        """A generation is gone."""
        self.removed.setdefault(reason.partition(" ")[0], Count()).add([size])
