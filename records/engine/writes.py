"""Batches of mutations, and the epochs that tell when one came too late."""

from typing import Protocol

from records.model import Batch, Outcome, Partition


class Writes(Protocol):
    """What writers call."""

    async def epoch(self, partition: Partition) -> int:
        """How often the partition was fenced or erased, alone or with its instance or connector; 0 at first."""
        ...

    async def release_epoch(self, connector: str) -> int:
        """How often holders of this connector were released; read it before holding what a batch will link."""
        ...

    async def apply(self, batch: Batch) -> list[Outcome]:
        """Commit the mutations in order; one outcome each.

        A `Put` of the same content (`history.same_content`) as the record there is `UNCHANGED` and makes no version; in
        an append-only batch any `Put` on a key that exists is. Whatever changes takes the partition's next version. A
        record's links are replaced with it, in the same transaction; a digest that lost its last link in the connector
        is noted as unlinked. A `Delete` removes content and links and leaves a tombstone; on an absent key it is
        `ABSENT`. Of every state that is superseded (a tombstone too) it is remembered what the batch's recorder makes
        of it, from which version it was and until which; a record that is changed has its revisions brought up to date.
        Raises `Fenced` or `Released` when an epoch differs; nothing is written then.
        """
        ...
