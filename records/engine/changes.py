"""What changed between two versions, and how long it is remembered."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from records.model import Changes, Partition

NOTHING_OWED: Mapping[str, int] = MappingProxyType({})


class History(Protocol):
    """What was there before."""

    async def changes(
        self,
        partition: Partition,
        since: int,
        after: int,
        horizon: int,
        limit: int,
        *,
        max_bytes: int | None = None,
        owed: Mapping[str, int] = NOTHING_OWED,
    ) -> Changes:
        """Keys whose state came to be beyond version `after` and up to `horizon`, each with what it was at `since`.

        Of the keys in `owed` it is what they were at the version that stands there. At most `limit` (1 or more) keys,
        and it may stop early as `page` does; all of it is seen at one moment. A key that has changed again beyond the
        horizon is not shown, but told of as overtaken. `since` 0 is before everything: then tombstones are left
        out, and nothing was before. `since` <= `after` <= `horizon`. For what was forgotten (`since` below the
        partition's floor, and not 0) the answer means nothing.

        A tombstone is told of whether or not the key was there at `since`: where nothing is remembered of it, it came
        and went in between.
        """
        ...

    async def forget(self, before: float, limit: int) -> int:
        """Drop what is remembered of states superseded, and tombstones made, before `before` (UTC seconds).

        Partition by partition, the oldest first; a partition's floor rises to the version of the last that went, so
        that all a token from there on needs is still there. Up to about `limit` rows; how many went. What has left, or
        is not yet here, is left alone.
        """
        ...
