"""A blob into a file: whole and durable, or not there; what an earlier try brought is gone on from."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from blobstore.client.calls import Calls
from blobstore.client.check import Check
from blobstore.client.content import PIECE
from blobstore.client.downloads import OpenBlob
from blobstore.client.errors import OtherBytes
from blobstore.durable import sync_folder


async def save(calls: Calls, blob_id: str, query: Mapping[str, str], path: Path) -> int:
    """Write the blob to `path` and give its size; until then it grows beside, in a file whose name ends in `.part`."""
    beside = path.with_name(f"{path.name}.part")
    file = await asyncio.to_thread(beside.open, "a+b")
    with file:
        check = Check.of(blob_id)
        start = await asyncio.to_thread(_begun, file, check)
        try:
            async with OpenBlob(calls, blob_id, query, start, None, check) as blob, aclosing(blob.pieces()) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)
        except OtherBytes:
            beside.unlink()
            raise
        await asyncio.to_thread(_settle, file, beside, path)
    return blob.size


def _begun(file: BinaryIO, check: Check | None) -> int:
    """How many bytes there are already; none are kept where nothing would tell whether they are right."""
    if check is None:
        file.truncate(0)
        return 0
    file.seek(0)
    while piece := file.read(PIECE):
        check.update(piece)
    return file.tell()


def _settle(file: BinaryIO, beside: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)
