"""Keeping what is copied: a pin for as long as a copy takes, which ends with its process if that dies."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from blobstore.catalogue import Pin
from blobstore.errors import BlobError
from blobstore.store import BlobStore

PIN_SECONDS = 300.0
"""How long a pin holds garbage back that nobody renews, though its process seems to live."""

RENEW_SECONDS = 60.0


@asynccontextmanager
async def pinned(store: BlobStore, namespace: str | None) -> AsyncIterator[None]:
    """Hold the garbage of a namespace (None: of all) back for the length of the block.

    Erasures go on, and where the catalogue did not answer for `PIN_SECONDS` garbage may have gone, too: who finds an
    object gone looks whether its generation is still live.
    """
    id = secrets.token_hex(16)
    try:
        # Who is cancelled here does not know whether the pin is committed all the same.
        await store.catalogue.pin(_pin(store, id, namespace))
        renewal = asyncio.create_task(_renew(store, id, namespace))
        try:
            yield
        finally:
            renewal.cancel()
            with suppress(asyncio.CancelledError):
                await renewal
    finally:
        with suppress(BlobError):  # it ends by itself
            await store.catalogue.unpin(id)


async def _renew(store: BlobStore, id: str, namespace: str | None) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        with suppress(BlobError):
            await store.catalogue.pin(_pin(store, id, namespace))


def _pin(store: BlobStore, id: str, namespace: str | None) -> Pin:
    return Pin(id, namespace, store.staging.process, time.time() + PIN_SECONDS)
