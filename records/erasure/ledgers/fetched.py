"""The erasure ledger of a bucket as a file: for who has lost the directory, and has the bucket still."""

import asyncio
from contextlib import closing
from pathlib import Path

from blobstore.backends.where import Where
from blobstore.errors import Missing
from records.erasure.ledger import Read
from records.erasure.ledgers.bucket import read
from records.erasure.ledgers.file import FileLedger


async def fetch(where: Where, path: Path) -> None:
    """Write the ledger that lies at a place in S3 to a file. Raises `StorageUnavailable`, `Damaged`."""
    found = await asyncio.to_thread(_read, where, path.parent)
    await (await FileLedger.open(path, found.store)).append(found.texts)


def _read(where: Where, directory: Path) -> Read:
    with closing(where.open(directory)) as backend:
        (notes, *_) = backend.notes()
        if notes is None:
            raise Missing(f"{where.location} has no erasure ledger")
        return read(notes, f"ledger of {where.location}")[0]
