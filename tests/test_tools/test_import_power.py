"""A power cut at any moment of an import: what was acknowledged is there, and one that was cut off is run again."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from records.store import RecordStore
from tests.fakes.bags import bag_of, fill
from tests.fakes.power import Disk
from tests.fakes.warm import asking
from tools.cli import main


@pytest.mark.long
async def test_an_import_that_the_power_cuts_off_ends_as_if_it_never_was(
    disk: Disk, forks: Path, tmp_path: Path, sized: Callable[[int, int], int]
) -> None:
    store = await RecordStore.open(tmp_path / "data")
    owner = await store.access.owner("ann")
    await fill(store, owner)
    bag = tmp_path / "ann.tar"
    bag.write_bytes(await bag_of(store, owner))
    await store.close()
    command = ["import", "--data", str(disk.path / "data"), "--owner", "bob", str(bag)]
    result = await asyncio.to_thread(CliRunner().invoke, main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    disk.mark("imported")
    check = asking(forks, "tests.fakes.after_import_cut", str(bag))
    assert disk.after_every_cut(check, "strict,ext4,random", sized(4, 100_000), sized(1, 3)) == ""
