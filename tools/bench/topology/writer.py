"""One writer in a process of its own: says when it is ready, writes when it is told, says how long it took.

python -m tools.bench.topology.writer store DATA CONNECTOR FIRST COUNT     an importer, through the library
python -m tools.bench.topology.writer bare  FILE CONNECTOR FIRST COUNT     `executemany` into the same tables
"""

import asyncio
import sys
import time
from itertools import chain
from pathlib import Path

from records.layout import CONFIGURATION
from tools.bench.bare import Bare, puts
from tools.bench.topology.lines import BATCH, STREAM, batches, manifest
from tools.configuration import configured
from tools.local_sink import open_local_sink
from tools.opening import Opening

OWNER = "bench"

PREPARED = 50_000
"""Lines that are made before the clock starts; a multiple of a batch. Who writes more makes the others on the way."""


def main(kind: str, place: str, connector: str, first: str, count: str) -> None:
    """Run one writer."""
    if kind == "bare":
        _bare(Path(place), int(first), int(count))
    else:
        asyncio.run(_store(Path(place), connector, int(first), int(count)))


def _bare(file: Path, first: int, count: int) -> None:
    bare = Bare(file)
    prepared = [puts(lines) for lines in batches("bare", first, count)]
    _wait_until_told()
    begun = time.perf_counter()
    for number, mutations in enumerate(prepared):
        bare.prepare(first + number * BATCH, mutations)
        bare.write()
    _tell(begun)
    bare.close()


async def _store(data: Path, connector: str, first: int, count: int) -> None:
    opening = Opening(data, None, None, database_url=configured(data / CONFIGURATION).get("database_url"))
    async with open_local_sink(opening, OWNER, connector, None) as sink:
        await sink.register(manifest(connector))
        prepared = list(batches(connector, first, min(count, PREPARED)))
        rest = batches(connector, first + PREPARED, max(0, count - PREPARED))
        _wait_until_told()
        begun = time.perf_counter()
        for lines in chain(prepared, rest):
            for rejection in await sink.ingest(STREAM, lines):
                raise RuntimeError(rejection.message)
        _tell(begun)


def _wait_until_told() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _tell(begun: float) -> None:
    print(time.perf_counter() - begun, flush=True)
