"""A collection of blobs in S3 from end to end, beside the calls that delete as many objects and nothing else."""

import asyncio
import time
from pathlib import Path

from blobstore.backends.s3.place import Place
from blobstore.backends.where import Where
from blobstore.gc import Wanted
from records.store import RecordStore
from tools.bench.gc import EVERYTHING
from tools.bench.litter import SIZE, recorded, strangers
from tools.bench.s3.bare import Bare


async def deletion(directory: Path, where: Where, bare: Bare, count: int, rounds: int) -> list[tuple[float, float]]:
    """(seconds of the collection, seconds of the bare calls), taken in alternating order."""
    where = Where.parse(f"{where.location}-deleted", where.endpoint, where.region, where.ca_bundle)
    place = Place.parse(where.location)
    store = await RecordStore.open(directory, where=where)
    owner = await store.access.owner("bench")
    await store.engines.of(owner.id)
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        blobs = list(strangers(owner.id, count))
        keys = bare.own(count)
        await asyncio.to_thread(bare.put, [*(place.key_of(name) for name, *_ in blobs), *keys], bytes(SIZE))
        await asyncio.to_thread(recorded, directory, owner, blobs, linked=False)
        seconds = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            if which:
                await asyncio.to_thread(bare.delete, keys)
            else:
                collected = await store.collections.run(Wanted(0.0, fuse=EVERYTHING))
                assert collected.blobs == count
            seconds[which] = time.perf_counter() - started
        pairs.append((seconds[0], seconds[1]))
    await store.close()
    return pairs
