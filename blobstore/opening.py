"""Opens the places of a store, and makes sure that the bytes there are those that its catalogue speaks of."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

from blobstore.backend import Backend
from blobstore.backends.places import Places
from blobstore.backends.where import Where
from blobstore.catalogue import Catalogue
from blobstore.errors import WrongStore
from blobstore.place import Place

OTHERS = (
    "store-id is another store's than the catalogue (catalogue.db, or the database); restore the one that belongs here,"
    " or name another place for the blobs"
)
"""Says that whoever sees it has the bytes of one store beside the catalogue of another."""


async def open_places(directory: Path, catalogue: Catalogue, where: Where) -> Places:
    """The backend of all places; the one that is told is opened, and made the first where none is known.

    Raises `StorageUnavailable`, and `WrongStore` where the bytes there are another store's, or the catalogue's are not
    there.
    """
    known, store_id = await catalogue.places(), await catalogue.store_id()
    if known:
        _id_of(where, known)
    home = await asyncio.to_thread(where.open, directory)
    async with AsyncExitStack() as failing:
        failing.push_async_callback(asyncio.to_thread, home.close)
        if await asyncio.to_thread(home.bound) is None:
            await _require_no_blobs(catalogue)
        if await asyncio.to_thread(home.bind, store_id) != store_id:
            raise WrongStore(OTHERS)
        known = await catalogue.first_place(where.location, where.options)
        id = _id_of(where, known)  # another process may have been first, with another place
        failing.pop_all()
    ask = partial(_ask_from_a_thread, asyncio.get_running_loop(), catalogue)
    return Places(store_id, id, home, known, ask, lambda each: Where.of(each.location, each.options).open(directory))


def _id_of(where: Where, known: Sequence[Place]) -> int:
    for place in known:
        if place.location == where.location:
            return place.id
    (intake,) = (place.location for place in known if place.intake)
    raise WrongStore(f"the blobs are in {intake}, not in {where.location}: name that (it has been moved there)")


def _ask_from_a_thread(loop: asyncio.AbstractEventLoop, catalogue: Catalogue) -> list[Place]:
    """The places that the catalogue knows. Blocks: on the loop itself it would wait for ever."""
    with suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            raise AssertionError("calls of the backend block: make them in a thread")
    return asyncio.run_coroutine_threadsafe(catalogue.places(), loop).result()


async def require_blobs(backend: Backend, catalogue: Catalogue) -> None:
    """Raise `WrongStore` where all bytes are gone: a disk that is not mounted must not look like an empty one.

    An object is there before the blob is live, and as long as it is. Asked again after the look: another process may
    have removed the last blob in between.
    """
    for stored in await catalogue.stalest(math.inf, 1):
        if not await asyncio.to_thread(backend.is_empty):
            return
        live = await catalogue.find(stored.name.namespace, stored.name.digest)
        if live is not None and live.name == stored.name:
            raise WrongStore(
                "blobs are gone, all that the catalogue knows: is their disk mounted, is it the right bucket? Else"
                " restore a backup"
            )


async def _require_no_blobs(catalogue: Catalogue) -> None:
    if await catalogue.stalest(math.inf, 1):
        raise WrongStore(
            "store-id is gone from where the catalogue has its blobs: is their disk mounted, is it the right bucket?"
            " Else restore a backup"
        )
