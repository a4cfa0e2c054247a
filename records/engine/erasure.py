"""Taking records away for good."""

from typing import Protocol

from records.model import Erased, Partition, Target

LEAP = 1 << 30
"""Versions that a partition leaps over: more changes than anybody made since a backup. There is room for 1,000."""


class Erasure(Protocol):
    """What erasures do."""

    async def fence(self, connector: str, instance: str | None) -> None:
        """Raise the epoch of an instance, or of every instance of the connector: batches begun before fail."""
        ...

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        """Remove up to `limit` records of the target, content, links and past, in the order of partitions and keys.

        One record or one stream leave tombstones, and keep those that are there: clients with a change token must
        learn of it. That the records were there, and at which consent time, stays remembered (`history.redacted`), and
        nothing else. An instance or a connector leaves nothing, but its partitions keep their versions, and their
        floors rise to them: older tokens are too old. After the records it is the turn of old tombstones (of an
        instance or a connector), and then of what is remembered, the oldest first; they count towards `limit` too.
        Digests that lost their last link in
        the connector are given back, and noted as unlinked. Call again until finished.

        With the id of an `erasure` it is remembered, in the same step, how many records it took and whether it is
        finished with this instance. The step that finishes raises the epochs of the streams that it covers, so that a
        batch begun before is wholly gone or fails; one record's erasure raises none. From then on calls with this id
        and this instance change nothing: what is written later is not touched, however often an erasure is resumed.
        """
        ...

    async def erased(self, erasure: str) -> dict[Partition, int]:
        """How many records the erasure with this id took from each partition that lost any."""
        ...

    async def sanitize(self, timeout: float) -> bool:
        """Make what was erased unreadable in every file of the engine, within `timeout` seconds.

        False when a reader's snapshot stood in the way all that time; call again later.
        """
        ...

    async def leap(self) -> None:
        """Records came back from a backup: versions that were given out after it must never be given out again.

        Every partition takes one version, `LEAP` above the highest that any has (or had leapt to), and its floor rises
        to it; one that is first written to later begins there. So change tokens from before are all too old.
        """
        ...
