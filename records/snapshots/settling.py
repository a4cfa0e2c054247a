"""What must be right in a directory that came back from a snapshot before anybody may see it.

1. leases and pins of the old life go; blobs that the store had lost when the snapshot was made are quarantined
2. what waits for a spine is drained, and links are counted against holders, in both directions, as `doctor` does
3. what was erased since the snapshot was made is erased again, as the erasure ledger says (`records.erasure.replay`)
4. versions leap, so that change tokens given out after the snapshot are too old instead of missing changes
5. every spine says that its owner's data came back from a backup

Every step may be repeated on the same databases, but a restore that was cut off begins with fresh copies of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blobstore.backends.where import IN_FILES, Where
from blobstore.errors import Damaged
from records import times
from records.audit import spine
from records.central import Owner
from records.checks.accounts import accounts
from records.erasure import ledger as ledgers
from records.erasure.ledger import Entry
from records.erasure.replay import replay
from records.snapshots import manifest
from records.snapshots.manifest import Manifest
from records.snapshots.repository import BATCH
from records.store import RecordStore

SOURCE = "restore"
"""The outbox, as the spine knows it, of what restores have to tell."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, how many erasures were carried out again, and holders that the recount added and dropped."""

    manifest: Manifest
    erased: int = 0
    held: int = 0
    released: int = 0


async def settle(
    data: Path,
    found: Manifest,
    folder: Path,
    ledger: Path,
    entries: Sequence[Entry],
    database_url: str | None = None,
    where: Where = IN_FILES,
) -> Restored:
    """What must be done before anybody may see the directory."""
    store = await RecordStore.open(
        data, ledger=ledger, restoring=True, topology=found.topology, database_url=database_url, where=where
    )
    try:
        settling = _Settling(store, found)
        await settling.drop_the_old_life(folder / manifest.MISSING)
        owners = await store.central.owners()
        for owner in owners:
            await store.audit.drain(owner)
            await settling.recount(owner)
        erased = await replay(store, entries)
        for owner in owners:  # a ledger that begins anew must know what the snapshot knows
            async for job in store.erasures.jobs(owner):
                await ledgers.write(store.ledger, store.erasures.entry(owner, job))
        for owner in owners:
            await settling.begin_anew(owner)
        await store.collector.remove_condemned()
        return Restored(found, erased, settling.held, settling.released)
    finally:
        await store.close()


class _Settling:
    def __init__(self, store: RecordStore, found: Manifest) -> None:
        self._store = store
        self._found = found
        self.held = 0
        self.released = 0

    async def drop_the_old_life(self, missing: Path) -> None:
        """Uploads that were under way, copies that were made, and blobs that were lost before the snapshot was made."""
        catalogue = self._store.blobs.catalogue
        dead = {lease.process for lease in await catalogue.leases()}
        await catalogue.expire(0.0, dead)  # leases only: claims have their time
        for pin in await catalogue.pins():
            await catalogue.unpin(pin.id)
        for page in manifest.pages(missing, BATCH):
            for stored in page:
                await catalogue.quarantine(stored.name)

    async def recount(self, owner: Owner) -> None:
        """The catalogue holds what the records link, and nothing else."""
        catalogue, collector = self._store.blobs.catalogue, self._store.collector
        engine = await self._store.engines.of(owner.id)
        async for account in accounts(owner, engine, catalogue):
            if account.links and not account.kept:
                raise Damaged(f"records of {owner.subject} link {account.digest}, which the snapshot does not have")
            for connector in account.links.keys() - account.held.keys():
                await catalogue.rehold(owner.id, connector, [account.digest])
                self.held += 1
            for connector in account.held.keys() - account.links.keys():
                await collector.release(owner.id, connector, [account.digest])
                self.released += 1

    async def begin_anew(self, owner: Owner) -> None:
        """No version is given out twice; the spine says what happened."""
        await (await self._store.engines.of(owner.id)).leap()
        central = self._store.central
        event = spine.body("restore", {"snapshot": self._found.snapshot, "made_at": self._found.made_at})
        number = await central.delivered(owner.id, SOURCE) + 1
        await central.append(owner.id, SOURCE, [(number, event)], times.now())
