"""Files of shards that no connector lives in: those that a crash left are removed, and no others.

Nobody lives in a file that was made and never taken, or given up and not removed yet. But the same is seen where the
central store is an older copy, of a time before a connector came, and then the file has all there is of it. What tells
is the outbox: all events of a file that was given up are on the spine, and in one that nobody took there are none.
"""

import asyncio
import fcntl
import os
import re
from collections.abc import Awaitable, Callable, Collection
from contextlib import closing
from pathlib import Path

from blobstore.errors import Damaged, StorageUnavailable, WrongStore
from blobstore.sqlite.connection import connect, translated
from blobstore.sqlite.outbox import NUMBERING
from records.engines.sharded.switching import PLACING, lock_now, open_lock, remove_files
from records.layout import CENTRAL, Topology
from records.shards import source_of

_SHARD = re.compile(r"([0-9a-f]+)(seal)?\.db(-wal|-shm|-journal|\.lock)?")

Homes = Callable[[], Awaitable[Collection[str]]]
Delivered = Callable[[str], Awaitable[int]]
"""Takes the name of an outbox; the number of its last event that the spine took."""


async def sweep(folder: Path, homes: Homes, delivered: Delivered) -> bool:
    """Remove what a crash left in an owner's folder. False where a file is being made just now.

    Raises `WrongStore` where there is a file that was written to and whose events the central store never had.
    """
    if not await asyncio.to_thread(folder.exists):
        return True
    descriptor = await asyncio.to_thread(open_lock, folder / PLACING)
    try:
        if not lock_now(descriptor, fcntl.LOCK_EX):
            return False
        there = await asyncio.to_thread(_shards, folder)
        left: list[Path] = []
        for path in sorted(folder / f"{shard}.db" for shard in there - set(await homes())):
            given = await asyncio.to_thread(_given, path)
            if given is not None and given > await delivered(source_of(path.stem)):
                part = Topology.PER_CONNECTOR.records(folder.name, path.stem)
                raise WrongStore(f"{CENTRAL} is older than {part}: one of the two was restored alone; restore both")
            left += [] if given is None else [path]
        for path in left:
            await asyncio.to_thread(remove_files, path)
        return True
    finally:
        os.close(descriptor)


def _shards(folder: Path) -> set[str]:
    return {found[1] for each in folder.iterdir() if (found := _SHARD.fullmatch(each.name))}


def _given(path: Path) -> int | None:
    """How many events there ever were in a file of this name; None where it is no shard's, or nobody can tell."""
    if not path.exists() or not path.stat().st_size:
        return 0
    if not path.is_file():
        return None
    try:
        with translated(path), closing(connect(path)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"bound", "outbox"} <= tables:
                return None if tables - {"_sqlite_migrations", "sqlite_sequence"} else 0
            names = [str(name) for (name,) in db.execute("SELECT name FROM bound")]
            if any(not name.endswith(f"/{path.parent.name}/{path.stem}") for name in names):
                return None
            return int(db.execute(NUMBERING).fetchone()[1])
    except Damaged:
        return 0  # it was never finished, or its end was cut off
    except StorageUnavailable:
        return None
