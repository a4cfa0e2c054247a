"""A power cut at any moment of a backup or a restore: nothing is half there, nothing acknowledged is lost."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from records.consent.scope import Selector
from records.erasure.ledger import NAME
from records.snapshots.backup import back_up
from records.snapshots.restore import restore
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, delete, ingest, make, upload
from tests.fakes.power import Disk
from tests.fakes.warm import asking

MODULE = "tests.fakes.after_backup_cut"


@pytest.mark.long
async def test_a_snapshot_that_is_there_is_whole_and_an_acknowledged_one_is_there(
    disk: Disk, forks: Path, tmp_path: Path, sized: Callable[[int, int], int]
) -> None:
    await asyncio.to_thread(make, tmp_path / "data")
    store = await RecordStore.open(tmp_path / "data")
    owner = await store.access.owner("ann")
    for number in range(1, sized(2, 6) + 1):
        made = await back_up(store, disk.path / "out")
        disk.mark(f"snapshot {made.manifest.snapshot}")
        await ingest(store, owner, "9", [await upload(store, owner, b"new %d" % number, "9")])
        await delete(store, owner, "1")
    await store.close()
    assert disk.after_every_cut(asking(forks, MODULE, "backup"), "strict,ext4", sized(12, 100_000)) == ""


@pytest.mark.long
async def test_what_is_restored_is_whole_or_nobody_can_open_it(
    disk: Disk, forks: Path, tmp_path: Path, sized: Callable[[int, int], int]
) -> None:
    await asyncio.to_thread(make, tmp_path / "data")
    store = await RecordStore.open(tmp_path / "data")
    await back_up(store, tmp_path / "out")
    owner = await store.access.owner("ann")
    covered = await store.erasures.coverage.of_records(owner, Selector(CONNECTOR), "documents", "1")
    await store.erasures.erase(owner, covered, wait=30.0)
    await store.close()
    await restore(tmp_path / "out", disk.path / "data", ledger=tmp_path / "data" / NAME)
    disk.mark("restored")
    assert disk.after_every_cut(asking(forks, MODULE, "restore"), "strict,ext4", sized(15, 100_000)) == ""
