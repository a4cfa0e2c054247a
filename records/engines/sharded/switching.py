"""When the file of a shard is given up: for another shard, or because nobody ever came to live in it.

Who gives up a shard holds its lock, from before it is sealed until its files are gone. So whoever finds it sealed gets
the lock only when that is over or its doer dead, and takes the seal off again where the connector still lives there.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from blobstore.durable import sync_folder
from blobstore.sqlite.connection import begin, connect, identity, translated
from records.engines.sharded.file import unseal

SUFFIXES = (".db", ".db-journal", ".db-wal", ".db-shm", ".db.lock", "seal.db.lock")
"""How the names of a shard's files go on, in the order in which they go: the database before its log, so that nobody
takes it for whole without (`blobstore.sqlite.connection`). What a crash leaves is found by any of them."""

PAUSE = 0.01
"""Seconds between two tries for a lock."""

PLACING = "placing.db.lock"
"""A file in an owner's folder: whoever makes a shard that no connector has yet holds it shared."""


@asynccontextmanager
async def giving_up(path: Path) -> AsyncIterator[None]:
    """Hold the lock of the shard with this file."""
    async with _locked(path.with_name(f"{path.stem}{SUFFIXES[-1]}"), fcntl.LOCK_EX):
        yield


@asynccontextmanager
async def placing(folder: Path) -> AsyncIterator[None]:
    """Make a file for a shard, and let the central store know, while nobody looks for files that nobody knows."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with _locked(folder / PLACING, fcntl.LOCK_SH):
        yield


@asynccontextmanager
async def nobody_places(folder: Path) -> AsyncIterator[None]:
    """While this is held, nobody makes a shard that no connector has yet."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with _locked(folder / PLACING, fcntl.LOCK_EX):
        yield


async def mend(path: Path, still: Callable[[], Awaitable[int | None]]) -> bool:
    """Wait for whoever gives the shard up. False where nothing was the matter with it.

    `still` gives its number where it is somebody's home. Where whoever sealed it died, the seal is taken off. Raises
    `FileNotFoundError` where it is a home, but has no file.
    """
    if not await asyncio.to_thread(path.parent.exists):
        raise FileNotFoundError
    async with giving_up(path):
        number = await still()
        return number is None or await asyncio.to_thread(_unseal, path, number)


def _unseal(path: Path, number: int) -> bool:
    if identity(path) is None:
        raise FileNotFoundError
    with translated(path), closing(connect(path)) as connection:
        begin(connection)
        sealed = unseal(number, connection)
        connection.execute("COMMIT")
    return sealed


def remove_files(path: Path) -> None:
    """Remove the files of a shard that nobody opens any more, durably."""
    with translated(path):
        for suffix in SUFFIXES:
            path.with_name(path.stem + suffix).unlink(missing_ok=True)
        sync_folder(path.parent)


@asynccontextmanager
async def _locked(path: Path, how: int) -> AsyncIterator[None]:
    descriptor = await asyncio.to_thread(open_lock, path)
    try:
        # No thread waits for it: whoever has the lock needs some to get on.
        while not lock_now(descriptor, how):  # noqa: ASYNC110 - it may be another process that has it
            await asyncio.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)


def lock_now(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_lock(path: Path) -> int:
    """The file of a lock, made if need be."""
    with translated(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
