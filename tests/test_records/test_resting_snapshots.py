"""Snapshots of many shards: of one moment, though only those are locked that are being written to."""

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from blobstore.sqlite.cut import Cut, cut
from records.consent.scope import Scope, Selector
from records.erasure.ledger import NAME
from records.errors import Unknown
from records.layout import Topology
from records.reading.query import Listing
from records.snapshots import moments
from records.snapshots.backup import back_up
from records.snapshots.resting import RESERVED, Resting
from records.snapshots.restore import restore
from records.store import RecordStore
from tests.fakes.data_directory import MANIFEST, ingest
from tools.opening import Opening, configure


async def opened(data: Path) -> RecordStore:
    return await RecordStore.open(data, topology=Topology.PER_CONNECTOR)


async def write(store: RecordStore, connector: str, key: str) -> None:
    owner = await store.access.owner("ann")
    await store.registry.register(owner, json.dumps({**MANIFEST, "connector_id": connector}).encode())
    await ingest(store, owner, key, [], connector=connector)


async def keys(store: RecordStore, connector: str) -> list[str]:
    owner = await store.access.owner("ann")
    page = await store.reads.page(Scope.of_owner(owner), "documents", Selector(connector), Listing(100))
    return [record.key for record in page.records]


async def filled(data: Path, connectors: int) -> None:
    """A directory with connectors `c0`, `c1`, … that all rest."""
    configure(Opening(data, "per-connector", None))
    store = await opened(data)
    for number in range(connectors):
        await write(store, f"c{number}", "before")
    await store.audit.drain_all()
    await store.close()


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files were locked at each moment."""
    counts: list[int] = []

    @contextmanager
    def counting(files: Callable[[], Sequence[Path]]) -> Iterator[Cut]:
        with cut(files) as moment:
            counts.append(len(moment.files))
            yield moment

    monkeypatch.setattr(moments, "cut", counting)
    return counts


async def test_what_was_woken_after_it_was_copied_is_of_the_moment_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: list[int]
) -> None:
    await filled(tmp_path / "data", 8)
    store, loop = await opened(tmp_path / "data"), asyncio.get_running_loop()
    copy = Resting.copy

    async def meanwhile() -> None:
        owner = await store.access.owner("ann")
        await write(store, "c3", "after")
        while (await store.central.shards(owner.id)).homes["c3"].left is None:
            await store.audit.drain(owner)
        await write(store, "c1", "after")
        await write(store, "new", "first")
        await store.erasures.erase(owner, await store.erasures.coverage.of_connector(owner, "c2"), wait=5.0)

    def copied(resting: Resting) -> None:
        copy(resting)
        asyncio.run_coroutine_threadsafe(meanwhile(), loop).result()

    monkeypatch.setattr(Resting, "copy", copied)
    await back_up(store, tmp_path / "out")
    await store.close()
    assert locked[-1] <= 3 + 4  # central store, catalogue, what is the owner's alone; and what changed

    await restore(tmp_path / "out", tmp_path / "new", ledger=tmp_path / "data" / NAME)
    again = await opened(tmp_path / "new")
    assert await keys(again, "c0") == ["before"]
    assert set(await keys(again, "c1")) == {"after", "before"}
    assert set(await keys(again, "c3")) == {"after", "before"}
    with pytest.raises(Unknown):
        await keys(again, "c2")
    assert await keys(again, "new") == ["first"]
    owner = await again.access.owner("ann")
    assert await (await again.engines.of(owner.id)).check() == []
    await again.close()


BACKUP = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
from tools.cli import main
main(["backup", "--data", sys.argv[2], sys.argv[3]])
"""


async def test_more_shards_than_there_are_descriptors_are_backed_up(
    tmp_path: Path, sized: Callable[[int, int], int]
) -> None:
    shards = sized(40, 1000)
    await filled(tmp_path / "data", shards)
    limit = RESERVED + 48
    command = [sys.executable, "-c", BACKUP, str(limit), str(tmp_path / "data"), str(tmp_path / "out")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "snapshots" / "000001" / "records"
    assert len(list(folder.glob("*/*.db"))) == shards
    assert list((tmp_path / "out" / "staging").iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > limit
