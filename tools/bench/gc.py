"""A store with one owner whose blobs are collected."""

import asyncio
import os
import time
from pathlib import Path

from blobstore.fuse import Fuse
from blobstore.gc import Wanted
from records.central import Owner
from records.store import RecordStore
from tools.bench.litter import litter

EVERYTHING = Fuse(max_share=1)
"""Of the dead alone everything goes."""


class Place:
    """A store with one owner."""

    def __init__(self, store: RecordStore, owner: Owner) -> None:
        self.store = store
        self.owner = owner

    @classmethod
    async def make(cls, directory: Path) -> "Place":
        """Make the directory."""
        store = await RecordStore.open(directory)
        owner = await store.access.owner("bench")
        await store.engines.of(owner.id)
        return cls(store, owner)

    async def collect(self, dead: int) -> float:
        """Let so many blobs die, and collect them: seconds of the latter."""
        await asyncio.to_thread(litter, self.store.directory, self.owner, dead, linked=False)
        await asyncio.to_thread(os.sync)
        begun = time.perf_counter()
        collected = await self.store.collections.run(Wanted(0.0, fuse=EVERYTHING))
        seconds = time.perf_counter() - begun
        assert collected.blobs == dead
        return seconds
