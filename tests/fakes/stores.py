"""What tests of a blob store ask of it: uploads, reads, a collection, and whether anything is left."""

import asyncio
import threading
from collections.abc import AsyncIterator

from blobstore.catalogue import Stored
from blobstore.digest import Content, Digest, Hasher
from blobstore.store import IO_THREADS, BlobStore, Expected, Slot

OWNER = "owner1"
SLOT = Slot("slack", "default", "slot1", "text/plain")


def content_of(data: bytes) -> Content:
    hasher = Hasher()
    hasher.update(data)
    return hasher.finish()


async def chunks(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(store: BlobStore, data: bytes, slot: Slot = SLOT, expected: Expected | None = None) -> Stored:
    return await store.put(OWNER, slot, chunks(data), expected)


async def read_all(store: BlobStore, digest: Digest) -> bytes:
    async with await store.open_blob(OWNER, digest) as blob:
        return await blob.read(0, blob.size)


async def nothing_is_left(store: BlobStore) -> bool:
    """No blob, lease, staged file or object, and nothing waits to be removed."""
    return not (
        await store.catalogue.walk(None, 10)
        or await store.catalogue.leases()
        or list(store.staging.files())
        or list(store.backend.list())
    )


async def collect(store: BlobStore) -> None:
    """Remove what is condemned, as the collector does."""
    for each in await store.catalogue.condemned(100):
        if each.process is not None:
            store.staging.remove(each.process, each.name.generation)
        store.backend.remove([each.name])
        await store.catalogue.buried([each.name], 0.0)


async def still(store: BlobStore) -> None:
    """Wait for what runs to its end though nobody waits for it, and for what the store's threads were given."""
    while store._background:
        await asyncio.wait(store._background)
    for threads, run in ((IO_THREADS, store.submit), (store.backend.threads, store.ask)):
        await asyncio.gather(*(run(threading.active_count) for _ in range(threads)))
