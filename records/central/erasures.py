"""Erasures from decision to receipt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from records.central.registry import Instance


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept here of a living connector and goes with it: its manifest, and by living instance its global sync
    state by stream.
    """

    manifest: bytes
    states: Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class ErasureJob:
    """An erasure from the moment it is decided. `target` and `result` are JSON texts; no content in either.

    `state` is `running` until nothing more is to be done, then `done`. `connector` alone: it goes as a whole;
    with `instance`: that instance does; neither: what goes is less (a stream, a record), and nothing is marked erased.
    With `owner_digest` all of the owner goes; it stands for the subject's name from then on. `resumed` counts how often
    it was taken up again after it was cut off. `receipt` is a signed document's JSON text.
    """

    id: str
    owner: str
    target: bytes
    state: str
    requested_at: str
    completed_at: str | None
    result: bytes | None
    connector: str | None = None
    instance: str | None = None
    owner_digest: str | None = None
    resumed: int = 0
    receipt: bytes | None = None


class Erasures(Protocol):
    """What is remembered of erasures."""

    async def begin_erasure(self, job: ErasureJob, event: bytes, seen: Seen | None = None) -> bool:
        """Durable intent, and in the same step: the job's connector with its instances, or its instance, is marked
        erased and its sync state is gone; where all of the owner goes, all connectors, and the subject's name.

        False, and nothing done, where the job's connector is not (any more) as it was `seen`. Beginning again (the same
        id) changes nothing. Raises `Conflict` when the id is another owner's.
        """
        ...

    async def keep_samples(self, erasure: str, key: bytes, sealed: bytes) -> None:
        """Keep what an erasure looks for at its end, sealed, and its key; where there is any, that stays.

        Durable when this returns. Raises `Unknown`.
        """
        ...

    async def samples(self, erasure: str) -> tuple[bytes, bytes] | None:
        """The key and the sealed samples of an erasure; None where none are kept."""
        ...

    async def drop_samples(self, erasure: str) -> None:
        """Forget them; after the next `sanitize` no file shows them. None there is no error."""
        ...

    async def erased_by(self, owner: str, erasure: str) -> list[Instance]:
        """The instances that the erasure marked erased, in the order (connector, id)."""
        ...

    async def take_up_erasure(self, erasure: str) -> ErasureJob | None:
        """Somebody goes on with an erasure that was begun: the job as it stands, None when it is done.

        Counts as resumed unless it had been paused. Raises `Unknown`.
        """
        ...

    async def pause_erasure(self, erasure: str) -> None:
        """Nothing is left to do but to wait for readers: who takes it up again has not resumed what was cut off."""
        ...

    async def redact_erasure(self, erasure: str, target: bytes) -> None:
        """Replace the target, which may name a record's key, by one that does not. Raises `Unknown`."""
        ...

    async def forget_owner(self, owner: str) -> None:
        """Of an owner who was erased connectors, instances, sync state, grants and their tokens go.

        So does what shards at rest hold.

        The owner's own tokens stay, without labels, until the erasure is finished: who asked for it may ask how it
        stands. Raises `Conflict` for an owner who was not erased.
        """
        ...

    async def finish_erasure(self, erasure: str, result: bytes, receipt: bytes, now: str, event: bytes) -> None:
        """The erasure is complete; finishing again changes nothing. An erased owner's tokens go. Raises `Unknown`."""
        ...

    async def erasures(self, owner: str, after: str | None, limit: int) -> list[ErasureJob]:
        """The owner's erasures, newest first, beyond the one with the id `after`; nothing beyond an unknown one."""
        ...

    async def erasure(self, owner: str, erasure: str) -> ErasureJob | None:
        """One erasure of this owner, begun or done."""
        ...

    async def unfinished_erasures(self) -> list[ErasureJob]:
        """Erasures that were begun and not completed, oldest first."""
        ...
