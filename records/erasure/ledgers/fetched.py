"""The erasure ledger of a bucket as a file, for a restore: from then on it is one like any other."""

import asyncio
from contextlib import closing
from pathlib import Path

from blobstore.backends.where import Where
from blobstore.errors import Missing
from records.erasure.ledger import Read
from records.erasure.ledgers import moves
from records.erasure.ledgers.bucket import read
from records.erasure.ledgers.file import FileLedger


async def fetch(where: Where, path: Path) -> None:
    """Write the ledger that lies at a place in S3 to a file.

    Raises `StorageUnavailable`, `Damaged`, and `Missing` where it is not there any more, or never was.
    """
    found = await asyncio.to_thread(_read, where, path.parent)
    await (await FileLedger.open(path, found.store)).append(found.texts)


def _read(where: Where, directory: Path) -> Read:
    with closing(where.open(directory)) as backend:
        (notes, *_) = backend.notes()
        if notes is None:
            raise Missing(f"{where.location} has no erasure ledger")
        if (now := moves.went_on(notes)) is not None:
            there = f"erasures.ledger of the directory that had {notes.where} before" if now == moves.FILES else now
            raise Missing(
                f"the erasure ledger went on elsewhere, and {notes.where} does not know what was erased since: give"
                f" --ledger {there}"
            )
        return read(notes, f"ledger of {where.location}")[0]
