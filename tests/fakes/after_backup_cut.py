"""What must hold of a backup, and of a directory that is being restored, after a power cut; run on each crash state.

CRASH_MARKS has what was acknowledged: `snapshot <number>`, `restored`.
"""

import asyncio
import os
import sys
from pathlib import Path

from blobstore import findings
from blobstore.errors import StorageUnavailable
from records.layout import RESTORING
from records.snapshots.repository import Repository
from records.snapshots.restore import check
from records.store import RecordStore
from tests.fakes.at_rest import look_once
from tools.doctor import Examination
from tools.opening import Opening


def marks() -> set[str]:
    return set(Path(os.environ["CRASH_MARKS"]).read_text().splitlines())


def snapshots_hold(out: Path) -> None:
    """Every snapshot that is there is whole, and those that were acknowledged are there."""
    acknowledged = {int(mark.split()[1]) for mark in marks()}
    if not (out / "snapshots").is_dir():
        assert not acknowledged, "all snapshots are gone"
        return
    with Repository.for_reading(out) as repository:
        there = set(repository.numbers())
    assert acknowledged <= there, f"lost: {acknowledged - there}"
    for number in there:
        check(out, number)


async def directory_holds(data: Path) -> None:
    """It is whole, or nobody can open it, or nothing of it is there; once acknowledged, it is whole."""
    begun = {f".{RESTORING}.new"}  # what is left of it is written over by the restore that is run again
    if not data.exists() or begun.issuperset(entry.name for entry in data.iterdir()):
        assert not marks(), "all that was restored is gone"
        return
    if (data / RESTORING).exists():
        assert not marks(), "what was restored is not to be opened"
        try:
            await RecordStore.open(data)
        except StorageUnavailable:
            return
        raise AssertionError("half a restore was opened")
    found = [finding async for finding, _ in Examination(Opening(data, None, None), True, repair=False).findings()]
    assert [each for each in found if each.severity is findings.Severity.ERROR] == [], found


if __name__ == "__main__":
    look_once()
    place = Path(os.environ["CRASH_DIR"])
    if sys.argv[1] == "backup":
        snapshots_hold(place / "out")
    else:
        asyncio.run(directory_holds(place / "data"))
