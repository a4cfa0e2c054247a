"""Whether all of a store is in files, or all of it in its database: a moment is of the one or of the other."""

import asyncio

from blobstore.errors import StorageUnavailable
from blobstore.sqlite.outside import place_of
from records.layout import DATABASES
from records.moving.either import EitherEngines
from records.store import RecordStore


async def require_in_one_place(store: RecordStore) -> None:
    """Raise `StorageUnavailable` where a part is not where the store's topology has it: it is moving, or stayed away.

    Asked before a moment begins and after it was copied: what is at one place both times was there in between.
    """
    in_files = store.topology.is_files
    away = [name for name in DATABASES if await asyncio.to_thread(_is_here, store, name) != in_files]
    if not away and isinstance(store.engines, EitherEngines):
        for owner in await store.central.owners():
            if await store.engines.in_files(owner.id) != in_files:
                away.append(f"the records of {owner.subject}")
                break
    if away:
        raise StorageUnavailable(
            f"a snapshot would lack {away[0]}, not being where the topology {store.topology} has it: a move between"
            " files and a database is under way, was cut off, or was of one owner alone; have `blobstore topology"
            " migrate` come to its end for all, and back up then"
        )


def _is_here(store: RecordStore, name: str) -> bool:
    """Whether this database of the directory is a file that is used."""
    path = store.directory / name
    return path.exists() and place_of(path) is None
