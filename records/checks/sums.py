"""Checks of one owner's sums: are they what records and links add up to, and links of the sizes of their blobs?

For when nothing else is wrong with the owner's records: whatever is wrong there makes sums wrong, too.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from blobstore.catalogue import Catalogue
from blobstore.digest import Digest
from blobstore.findings import BATCH, Finding, Severity, Suspicion
from records.central import Owner
from records.engine import Engine
from records.sums import Sums

Mend = Callable[[], Awaitable[object]]

_NAMED = 3
"""Sentences that a finding has; there may be one for each partition and month."""


class SumChecks:
    """Checks of one owner's sums."""

    def __init__(self, owner: Owner, engine: Engine, catalogue: Catalogue) -> None:
        self._owner = owner
        self._engine = engine
        self._catalogue = catalogue

    async def sums(self) -> AsyncIterator[Suspicion]:
        """What the engine keeps, and the sizes that it goes by."""
        if await self._judge() is not None:
            yield self._judge
            return
        for connector in await self._engine.sums():
            if await self._judge_sizes(connector) is not None:
                yield partial(self._judge_sizes, connector)

    async def _judge(self) -> Finding | None:
        wrong = await self._engine.resum(repair=False)
        if not wrong:
            return None
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        message = f"sums of {self._owner.subject} are not what there is: {'; '.join(wrong[:_NAMED])}{more}"
        mend = partial(self._engine.resum, repair=True)
        return self._finding(message, "add them up anew", mend)

    async def _judge_sizes(self, connector: str) -> Finding | None:
        """What is linked, with the sizes that the catalogue knows; nobody may have written meanwhile."""
        told = _blobs((await self._engine.sums(connector)).get(connector))
        blobs, size = 0, 0
        after: Digest | None = None
        while page := await self._engine.linked(connector, after, BATCH):
            after = page[-1][0]
            stored = await self._catalogue.live(self._owner.id, [digest for digest, _ in page])
            if len(stored) < len(page):
                return None  # one that is quarantined, say, whose size nobody doubts
            blobs, size = blobs + len(stored), size + sum(each.size for each in stored)
        if told == (blobs, size) or _blobs((await self._engine.sums(connector)).get(connector)) != told:
            return None
        message = (
            f"the links of {connector} of {self._owner.subject} say that {told[0]} blobs have {told[1]} bytes, but"
            f" {blobs} of {size} are stored; export the connector's records, erase it and import them"
        )
        return self._finding(message)

    def _finding(self, message: str, repair: str | None = None, mend: Mend | None = None) -> Finding:
        return Finding("wrong_sums", Severity.ERROR, f"records/{self._owner.id}", message, repair, mend)


def _blobs(sums: Sums | None) -> tuple[int, int]:
    return (0, 0) if sums is None else (sums.blobs, sums.blob_bytes)
