"""Bundles: a connector taken out whole, verified as whoever attaches it will verify it, and only then erased here."""

from collections.abc import Mapping
from pathlib import Path

from records import times
from records.audit import spine
from records.bag.imports import LIMIT, Imported
from records.bundle.accounts import names_here
from records.bundle.detaching import Detached, Detaching
from records.bundle.verified import Verified, verify
from records.central import About, Owner
from records.store import RecordStore

__all__ = ["Bundles", "Detached", "Verified"]


class Bundles:
    """Detaches and attaches connectors of one store."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def detach(self, owner: Owner, connector: str, out: Path, *, keep: bool) -> Detached:
        """Write a bundle to a folder that is not there yet, verify it, and erase the connector unless it is to `keep`.

        Every write that was acknowledged is in the bundle; those that come while it is decided are refused. Where the
        folder is there already and is this bundle, it is gone on from there; an erasure that was begun is finished.
        Raises `Unknown`, `BadBag`, and `Conflict` where the connector was written to since a bundle was made to keep,
        or does not come to rest; nothing is erased then.
        """
        detaching = Detaching(self._store, owner, connector, out)
        return await (detaching.copy() if keep else detaching.move())

    async def verify(self, folder: Path, *, public_key: str | None = None, limit: int = LIMIT) -> Verified:
        """As `records.bundle.verified.verify`."""
        return await verify(self._store.imports, folder, public_key, limit)

    async def attach(self, owner: Owner, verified: Verified, renamed: Mapping[str, str]) -> Imported:
        """Store what a verified bundle holds, for this owner. Again is harmless, and goes on where it was cut off.

        An account keeps its name where that is free here, else it gets another (`renamed` says which, or one is made).
        Raises `Conflict` before anything is stored: the connector is here with another manifest, or an account of it
        has other records; and what imports raise.
        """
        names = await names_here(self._store, owner, verified.bag, renamed)
        imported = await self._store.imports.load(owner, verified.bag, verified.document.connector, names)
        facts = {
            "connector": verified.document.connector,
            "bag": verified.document.bag,
            "from": verified.document.store_id,
            "signed_by": verified.signer,
        }
        await self._store.central.note(owner.id, spine.body("connector.attach", facts), times.now(), About())
        return imported
