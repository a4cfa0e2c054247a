"""A power cut at any moment: no acknowledged row is lost, and what was overwritten and acknowledged stays away."""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from blobstore.errors import StorageUnavailable
from blobstore.sqlite.connection import rewrite_table
from blobstore.sqlite.file import SqliteFile
from tests.fakes.power import Disk

ROOT = Path(__file__).resolve().parents[2]

MIGRATIONS = Migrations("power")


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    db.execute("CREATE TABLE rows (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")


AFTER_CUT = """
import os, sys
from pathlib import Path
from blobstore.sqlite import sqlite3

marks = [line.split() for line in Path(os.environ["CRASH_MARKS"]).read_text().splitlines()]
last = {name: state for state, name in marks}
folder = Path(os.environ["CRASH_DIR"]) / "new" / "folder"
for name in [name for name, state in last.items() if state == "gone"]:
    for path in folder.iterdir():
        if f"value of {name};".encode() in path.read_bytes():
            sys.exit(f"{name} is back in {path.name}")
kept = [name for name, state in last.items() if state == "kept"]
if kept:
    database = sqlite3.connect(folder / "test.db")
    rows = {row[0] for row in database.execute("SELECT name FROM rows")}
    if not rows.issuperset(kept):
        sys.exit(f"lost: {sorted(set(kept) - rows)}")
    if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
        sys.exit("damaged")
"""


@pytest.mark.long
async def test_acknowledged_rows_survive_and_overwritten_ones_stay_away(
    disk: Disk, tmp_path: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    check = tmp_path / "after_cut.py"
    check.write_text(AFTER_CUT)
    file = await SqliteFile.open(disk.path / "new" / "folder" / "test.db", MIGRATIONS)
    there: list[str] = []
    for number in range(sized(9, 40)):
        name = f"row{number}"
        value = f"value of {name};".encode() * rng.choice([1, 100, 1000])
        await file.execute("INSERT INTO rows VALUES (?, ?)", (name, value))
        disk.mark(f"kept {name}")
        there.append(name)
        if number % 4 == 3:
            going = [there.pop(rng.randrange(len(there))) for _ in range(2)]
            for name in going:
                # From here on until the log is cut, both is right.
                disk.mark(f"either {name}")
            await file.executemany("DELETE FROM rows WHERE name = ?", [(name,) for name in going])
            await file.write_alone(lambda db: rewrite_table(db, "rows"))
            assert await file.truncate_wal(10.0)
            for name in going:
                disk.mark(f"gone {name}")
    await file.close()
    command = f"PYTHONPATH={ROOT} {sys.executable} {check}"
    assert disk.after_every_cut(command, "strict,ext4", sized(30, 100_000)) == ""


@pytest.mark.parametrize("op", ["fsync", "write"])
async def test_a_commit_that_the_disk_refuses_is_told_and_undone(disk: Disk, op: str) -> None:
    file = await SqliteFile.open(disk.path / "test.db", MIGRATIONS)
    await file.execute("INSERT INTO rows VALUES ('before', x'')")
    disk.fault(op=op, path="test.db-wal", nth=1, count=1, errno="EIO")
    with pytest.raises(StorageUnavailable):
        await file.execute("INSERT INTO rows VALUES ('refused', x'')")
    await file.execute("INSERT INTO rows VALUES ('after', x'')")
    names = await file.read(lambda db: db.execute("SELECT name FROM rows").fetchall())
    assert names == [("after",), ("before",)]
    assert await file.check() == []
    await file.close()


async def test_a_log_that_cannot_be_cut_for_good_is_no_success(disk: Disk) -> None:
    file = await SqliteFile.open(disk.path / "test.db", MIGRATIONS)
    await file.execute("INSERT INTO rows VALUES ('before', x'')")
    disk.fault(op="fsync", path="test.db-wal", nth=2, count=1, errno="EIO")  # the first is the checkpoint's own
    with pytest.raises(StorageUnavailable):
        await file.truncate_wal(5.0)
    assert await file.truncate_wal(5.0)
    await file.close()


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match=r"test\.db"):
        await SqliteFile.open(tmp_path / "file" / "folder" / "test.db", MIGRATIONS)
