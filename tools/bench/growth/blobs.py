"""What blobs cost while a store has more and more of them."""

import os
import time
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

import msgspec

from blobstore.gc import Wanted
from tools.bench.client import Client
from tools.bench.gc import EVERYTHING, Place
from tools.bench.growth.figures import Growing, Growth
from tools.bench.litter import litter
from tools.bench.messages import MANIFEST
from tools.running import Server, serving

BYTES = 4096
TIMES = 50
DEAD = 1_000
"""Blobs that are collected at each size."""


async def measure(scratch: Path, sizes: Sequence[int], dead: int = DEAD) -> Growth:
    """One owner's blobs, which records link, made straight on the disk."""
    growing, data = Growing(), scratch / "data"
    present = 0
    for size in sizes:
        place = await Place.make(data)
        litter(data, place.owner, size - present, linked=True)
        litter(data, place.owner, dead, linked=False)
        os.sync()
        with growing.seconds(f"collection of {dead:,} dead"):
            collected = await place.store.collections.run(Wanted(0.0, fuse=EVERYTHING))
        assert collected.blobs == dead
        await place.store.close()
        present = size
        with serving(data, "bench") as server:
            _ask(server, growing)
    return growing.grown("A store of more and more blobs", "blobs", sizes)


def _ask(server: Server, growing: Growing) -> None:
    growing.add("start of the server", "s", server.started)
    client = Client(server)
    client.call("POST", "/v1/connectors", msgspec.json.encode(MANIFEST))
    keys = count(time.time_ns())

    def upload() -> bytes:
        path = f"/v1/blobs?connector_id=bench&stream=messages&record_key={next(keys)}"
        return client.call("POST", path, os.urandom(BYTES), "application/octet-stream")

    blob = msgspec.json.decode(upload())["blob_id"]
    growing.median("upload of 4 KiB, durable", upload, TIMES)
    growing.median("download of 4 KiB", partial(client.call, "GET", f"/v1/blobs/{blob}"), TIMES)
    growing.median("explanation of a blob", partial(client.call, "GET", f"/v1/owner/blobs/{blob}"), TIMES)
    growing.median("usage", partial(client.call, "GET", "/v1/owner/usage"), 1, must=1)
    client.close()
    growing.add("memory of the server after that", "MiB", server.idle() / (1 << 20))
