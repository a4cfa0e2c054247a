"""Who else has a blob: what is asked before somebody lets go of it for good."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from blobstore.digest import Digest


@dataclass(frozen=True, slots=True)
class Share:
    """A blob, seen by who is about to let go of it for some of its slots. `size` counts all bytes that it takes.

    `others` are those who hold or claim it beside; `held`: the holder holds it, `covered`: it claims it for one of
    these slots; `scopes`: those of its claims for other slots.
    """

    digest: Digest
    size: int
    others: frozenset[str]
    held: bool
    covered: bool
    scopes: frozenset[str]


class Shares(Protocol):
    """What is claimed, and what is shared."""

    async def claimed(
        self, namespace: str, holder: str, beginnings: Collection[str], after: Digest | None, limit: int
    ) -> list[Digest]:
        """Blobs that the holder claims for slots that begin like one of these, by digest, beyond `after`."""
        ...

    async def shares(
        self, namespace: str, holder: str, beginnings: Collection[str], digests: Collection[Digest]
    ) -> list[Share]:
        """Who else has these blobs, and for what else the holder claims them than slots with one of these beginnings.

        In the order of digests; blobs with no generation but condemned ones are left out.
        """
        ...
