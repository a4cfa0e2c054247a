"""kill -9 while an erasure runs: whoever finishes it tells what the preview promised, and how often it was cut off."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from records.central import Owner
from records.erasure import receipts
from records.erasure.report import Preview
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, ingest, upload
from tests.fakes.warm import launch

RECORDS = 40
ERASE = """
import asyncio, sys
from pathlib import Path
import records.erasure.erasing
from records.store import RecordStore
records.erasure.erasing.ROWS = 3
async def main():
    store = await RecordStore.open(Path(sys.argv[1]))
    print("open", flush=True)
    if await store.central.unfinished_erasures():
        await store.erasures.resume(10)
    elif not await store.central.erasures(sys.argv[2], None, 1):
        (owner,) = await store.central.owners()
        await store.erasures.erase(owner, await store.erasures.coverage.of_connector(owner, "files"), wait=10)
    await store.close()
asyncio.run(main())
"""


async def fill(data: Path) -> tuple[Owner, Preview]:
    store = await RecordStore.open(data)
    owner = await store.access.owner("ann")
    await store.registry.register(owner, msgspec.json.encode(MANIFEST))
    await ingest(store, owner, "first", [])  # the connection is there before many write to it at once

    async def one(number: int) -> None:
        data = b"%d" % number * 1000
        await ingest(store, owner, str(number), [await upload(store, owner, data, str(number))])

    await asyncio.gather(*(one(number) for number in range(RECORDS)))
    preview = await store.erasures.preview(owner, await store.erasures.coverage.of_connector(owner, CONNECTOR))
    await store.close()
    return owner, preview


def run_and_kill(forks: Path, data: Path, owner: Owner, after: float) -> None:
    """Let it erase for so many seconds, or until it has done its work."""
    process = launch(forks, "-c", ERASE, data, owner.id)
    assert process.out.readline() == "open\n"
    try:
        assert process.wait(after) == 0
    except TimeoutError:
        process.killed()


@pytest.mark.long
async def test_an_erasure_that_is_killed_again_and_again_tells_what_its_preview_promised(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    for turn in range(sized(2, 40)):
        data = tmp_path / str(turn)
        owner, preview = await fill(data)
        for _ in range(3):
            await asyncio.to_thread(run_and_kill, forks, data, owner, rng.uniform(0.0, 0.5))
        store = await RecordStore.open(data)
        begun = await store.central.erasures(owner.id, None, 10)
        if not begun:  # every time it was killed before it began
            await store.erasures.erase(owner, await store.erasures.coverage.of_connector(owner, CONNECTOR), wait=10)
        assert await store.erasures.resume(10) == 0
        (job,) = await store.central.erasures(owner.id, None, 10)
        assert job.receipt is not None
        said, _ = receipts.verify(job.receipt, store.erasures.public_key)
        promised = (RECORDS + 1, preview.blobs, preview.bytes)
        assert (said.erased.records, said.erased.blobs, said.erased.bytes) == promised
        assert said.resumed <= 3
        assert await store.blobs.catalogue.walk(None, 10) == []
        assert list(store.blobs.backend.list()) == []
        await store.close()
