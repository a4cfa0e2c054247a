"""Checks of the central store: its files, the owners' spines and what waits for them."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from blobstore.catalogue import Catalogue
from blobstore.findings import Finding, Severity, Suspicion, certain
from records.central import Owner
from records.engine import Engine
from records.errors import SourceDown
from records.store import RecordStore

PAGE = 500

DRAIN_WAIT = 3.0
"""Seconds in which a running server drains its outboxes."""


class CentralChecks:
    """Checks of one record store's central part."""

    def __init__(self, store: RecordStore) -> None:
        self._central = store.central
        self._catalogue = store.blobs.catalogue
        self._checkpoints = store.checkpoints
        self._names = store.topology

    async def files(self) -> AsyncIterator[Suspicion]:
        """The central store's own files."""
        for line in await self._central.check():
            message = f"the central store is damaged ({line}); restore it from a backup"
            yield certain(Finding("damaged_file", Severity.ERROR, self._names.central, message))

    async def spine(self, owner: Owner) -> AsyncIterator[Suspicion]:
        """The owner's audit chain, and the checkpoints that it must pass through."""
        found = await self._checkpoints.verify(owner)
        for kind, faults in (("spine_broken", found.faults), ("checkpoint_void", found.void)):
            for fault in faults:
                yield certain(Finding(kind, Severity.ERROR, f"spine of {owner.subject}", fault.message))

    async def outboxes(self, engines: Mapping[str, Engine]) -> AsyncIterator[Suspicion]:
        """Events that have not come to any spine, or never can. `engines` by the ids of their owners."""
        owners = {owner.id for owner in await self._central.owners()}
        strangers = {event.namespace for event in await self._catalogue.outbox(PAGE)} - owners
        for namespace in sorted(strangers):
            message = f"it has events of {namespace}, an owner that is not known here; all events behind them wait"
            yield certain(Finding("outbox_stuck", Severity.ERROR, self._names.catalogue, message))
        outboxes: dict[str, Engine | Catalogue] = {f"records/{owner}": engine for owner, engine in engines.items()}
        if not strangers:
            outboxes[self._names.catalogue] = self._catalogue
        waiting = {subject: seq for subject, place in outboxes.items() if (seq := await _oldest(place)) is not None}
        if waiting:
            await asyncio.sleep(DRAIN_WAIT)
        for subject, seq in waiting.items():
            if await _oldest(outboxes[subject]) == seq:
                yield certain(Finding("outbox_waiting", Severity.NOTE, subject, _WAITING))


async def _oldest(place: Engine | Catalogue) -> int | None:
    """The number of the event that has waited longest."""
    try:
        return next((event.seq for event in await place.outbox(1)), None)
    except SourceDown:
        return None  # named where all parts are looked at


_WAITING = "it has events that have not come to the audit log yet; a running server brings them there"
