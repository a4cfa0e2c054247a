"""What must go: fences, expiry, orphans, condemnation, quarantine."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from blobstore.backend import ObjectName
from blobstore.catalogue.stored import Stored
from blobstore.catalogue.uploads import Lease
from blobstore.digest import Digest
from blobstore.place import MOVED


@dataclass(frozen=True, slots=True)
class Condemned:
    """A generation whose bytes must go, and why.

    `garbage <collection's id>`, `erasure <id>`; `abandoned` and `duplicate`: an upload that was never, or need not be,
    published; `healed`: a damaged copy that a good one replaced; `moved`: what a move left behind, or made in vain.
    """

    name: ObjectName
    size: int
    reason: str
    process: str | None = None
    """Set when it was taken from an upload that was publishing it: its staging file lies in this process's folder."""
    order: int = field(default=0, compare=False)
    """When it was condemned, by the catalogue's own counter."""
    late_until: float | None = field(default=None, compare=False)
    """As in `Stored`: it is not to be buried before."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Generations of one namespace that were removed for one reason, counted; sizes in bytes."""

    namespace: str
    reason: str
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """A live or quarantined generation without holder or claim, and since when (UTC seconds)."""

    stored: Stored
    since: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Orphans that a collection would remove, in blobs and bytes, beside the bytes of all that is stored."""

    blobs: int
    bytes: int
    stored: int


def removals(removed: Iterable[Condemned]) -> list[Removal]:
    """The generations, counted by namespace and reason, in that order; of copies that moves made nothing is told."""
    groups: dict[tuple[str, str], list[int]] = {}
    for each in removed:
        if each.reason == MOVED:
            continue
        groups.setdefault((each.name.namespace, each.reason), []).append(each.size)
    return [Removal(*group, len(sizes), sum(sizes)) for group, sizes in sorted(groups.items())]


class Collecting(Protocol):
    """What erasures and collections do."""

    async def fence(self, namespace: str, holder: str, scope: str | None, beginning: str = "") -> list[Lease]:
        """Take away a holder's leases (all, of a scope, or for slots that begin so): uploads under way fail.

        The leases that went. What they may be publishing is condemned; it may come late until they are abandoned.
        """
        ...

    async def drop_claims(
        self, namespace: str, holder: str, *, scope: str | None, beginning: str = "", now: float
    ) -> set[Digest]:
        """Drop a holder's claims (all, of a scope, or for slots that begin so); the blobs that they claimed."""
        ...

    async def expire(self, now: float, dead_processes: Collection[str], limit: int = 1000) -> int:
        """Drop expired claims, at most `limit`, and pins and leases that have expired or are of dead processes.

        What such leases may have left is condemned, and may come late for `LATE_SECONDS`. What moves left behind is
        kept no longer once its time is over, where no pin holds it.

        How many claims and leases went: below `limit` when none is left that has expired.
        """
        ...

    async def orphans(
        self, namespace: str | None, before: float, limit: int, after: Orphan | None = None
    ) -> list[Orphan]:
        """Live and quarantined generations without holder and claim since before `before`, beyond `after`.

        In the order of (since, name).
        """
        ...

    async def forecast(self, namespace: str | None, before: float) -> Forecast:
        """What `orphans` would list, counted, beside all that is stored: of a namespace, or of the whole store.

        Work in proportion to the orphans alone.
        """
        ...

    async def condemn(
        self, namespace: str, digests: Collection[Digest], reason: str, before: float | None = None
    ) -> list[Condemned]:
        """Condemn those that have no holder and no claim now (and were orphaned before `before`), in one statement.

        Quarantined generations of the same blobs go with them, and what moves left behind of them is kept no longer;
        copies of them that are on their way are fenced off; what was derived of them is gone with this step. With
        `before` they are garbage, which a pin holds back; without, they are erased, which nothing does.
        """
        ...

    async def condemned(self, limit: int, after: Condemned | None = None) -> list[Condemned]:
        """What must be removed, in the order in which it was condemned, beyond `after`; not what is kept still."""
        ...

    async def may_come(self, namespace: str, holder: str | None, reason: str, now: float) -> bool:
        """Whether bytes may come late of what is condemned for this reason, or was taken from the holder's uploads.

        None: from anybody's. Copies that moves make are of any holder.
        """
        ...

    async def buried(
        self, names: Collection[ObjectName], now: float, event: Callable[[Removal], bytes | None] | None = None
    ) -> list[Condemned]:
        """The bytes are durably gone: forget the generations, remember the reasons. Those that this call forgot.

        Of any number of callers one is told of each. `event` says, for each namespace and reason, what goes into the
        outbox in the same step. Of copies that moves left behind, or made in vain, nothing is remembered or told.
        """
        ...

    async def quarantine(self, name: ObjectName) -> bool:
        """The bytes do not match: stop serving them. False when the generation is no longer live."""
        ...

    async def verified(self, names: Collection[ObjectName], now: float) -> None:
        """The bytes were hashed and match."""
        ...
