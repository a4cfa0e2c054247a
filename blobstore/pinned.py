"""Keeping what is copied: a pin for as long as a copy takes, gone with its process if that dies."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from blobstore.catalogue import Catalogue, Pin
from blobstore.errors import BlobError

PIN_SECONDS = 300.0
"""How long the pin of a process that died holds garbage back."""

RENEW_SECONDS = 60.0


@asynccontextmanager
async def pinned(catalogue: Catalogue, namespace: str | None) -> AsyncIterator[None]:
    """Hold the garbage of a namespace (None: of all) back for the length of the block.

    Erasures go on, and where the catalogue did not answer for `PIN_SECONDS` garbage may have gone, too: who finds an
    object gone looks whether its generation is still live.
    """
    id = secrets.token_hex(16)
    await catalogue.pin(_pin(id, namespace))
    renewal = asyncio.create_task(_renew(catalogue, id, namespace))
    try:
        yield
    finally:
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal
        with suppress(BlobError):  # it ends by itself
            await catalogue.unpin(id)


async def _renew(catalogue: Catalogue, id: str, namespace: str | None) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        with suppress(BlobError):
            await catalogue.pin(_pin(id, namespace))


def _pin(id: str, namespace: str | None) -> Pin:
    return Pin(id, namespace, time.time() + PIN_SECONDS)
