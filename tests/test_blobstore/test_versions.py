"""Programs of two versions on one SQLite file: who may use it when, and who takes which step."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from blobstore.errors import NewerVersion, StorageUnavailable
from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile
from blobstore.sqlite.outside import Standing, State, finish, look
from blobstore.sqlite.versions import later, on_opening


def old() -> Migrations:
    """The version before."""
    migrations = Migrations("test")

    @migrations()
    def m001_initial(db: Database) -> None:
        db.execute("CREATE TABLE rows (name TEXT PRIMARY KEY)")

    return migrations


def new(*steps: Callable[[Database], None]) -> Migrations:
    """The version with these steps."""
    migrations = old()
    for number, step in enumerate(steps, 2):
        migrations(name=f"m{number:03}_{step.__name__}")(step)
    return migrations


def breaking(db: Database) -> None:
    db.execute("ALTER TABLE rows RENAME COLUMN name TO called")


@on_opening
def column(db: Database) -> None:
    db.execute("ALTER TABLE rows ADD COLUMN colour TEXT")


@later
def index(db: Database) -> None:
    db.execute("CREATE INDEX by_length ON rows (length(name))")


async def write(file: SqliteFile, name: str, column: str = "name") -> None:
    await file.execute(f"INSERT INTO rows ({column}) VALUES (?)", (name,))


async def names(file: SqliteFile) -> list[str]:
    return [row[0] for row in await file.read(lambda db: db.execute("SELECT * FROM rows").fetchall())]


async def has_index(file: SqliteFile) -> bool:
    sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'by_length'"
    return bool(await file.read(lambda db: db.execute(sql).fetchone()[0]))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A file of the version before, with a row."""
    file = await SqliteFile.open(tmp_path / "test.db", old())
    await write(file, "first")
    await file.close()
    return file.path


def everything(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


# -- a step that locks the version before out ------------------------------------------------------------------------


async def test_opening_a_file_and_reading_it_locks_nobody_out(path: Path) -> None:
    before = await SqliteFile.open(path, old())
    after = await SqliteFile.open(path, new(breaking))
    assert await names(after) == ["first"]
    await write(before, "second")
    assert await names(after) == ["first", "second"]
    for file in (before, after):
        await file.close()
    assert look(path, old()).state is State.CURRENT


@pytest.mark.parametrize("alone", [False, True])
async def test_the_first_write_takes_the_file_over_and_the_version_before_is_refused(path: Path, alone: bool) -> None:
    before = await SqliteFile.open(path, old())
    after = await SqliteFile.open(path, new(breaking))
    if alone:
        await after.write_alone(lambda db: db.execute("INSERT INTO rows (called) VALUES ('second')"))
    else:
        await write(after, "second", "called")
    for use in (names(before), write(before, "third"), before.write_alone(lambda db: None)):
        with pytest.raises(NewerVersion, match=r"test\.db"):
            await use
    assert await names(after) == ["first", "second"]
    for file in (before, after):
        await file.close()


async def test_a_refused_file_is_left_as_it_is_byte_for_byte(path: Path) -> None:
    await (await SqliteFile.open(path, old())).close()
    after = await SqliteFile.open(path, new(breaking))
    await write(after, "second", "called")
    await after.close()
    before = everything(path.parent)
    with pytest.raises(NewerVersion, match="m002_breaking"):
        await SqliteFile.open(path, old())
    assert finish(path, old()) == look(path, old()) == Standing(2, 1, State.REFUSED)
    assert everything(path.parent) == before


# -- steps that the version before does not notice ---------------------------------------------------------------------


async def test_a_step_on_opening_is_taken_and_the_version_before_goes_on(path: Path) -> None:
    before = await SqliteFile.open(path, old())
    after = await SqliteFile.open(path, new(column))
    await after.execute("UPDATE rows SET colour = 'red'")
    await write(before, "second")
    await before.close()
    before = await SqliteFile.open(path, old())
    assert await names(before) == ["first", "second"]
    assert (look(path, old()).state, look(path, new(column)).state) == (State.AHEAD, State.CURRENT)
    for file in (before, after):
        await file.close()


async def test_a_step_for_later_is_taken_by_the_sweep_alone(path: Path) -> None:
    before, after = await SqliteFile.open(path, old()), await SqliteFile.open(path, new(index))
    await write(after, "second")
    assert not await has_index(after)
    assert look(path, new(index)) == Standing(1, 2, State.BEHIND)
    assert finish(path, new(index)) == Standing(2, 2, State.CURRENT)
    assert await has_index(after)
    await write(before, "third")
    for file in (before, after):
        assert await names(file) == ["first", "second", "third"]
        await file.close()


async def test_steps_are_taken_in_order_also_one_for_later_before_one_on_opening(path: Path) -> None:
    file = await SqliteFile.open(path, new(index, column))
    assert await has_index(file)
    await file.close()


async def test_a_new_file_has_the_latest_version_at_once(tmp_path: Path) -> None:
    file = await SqliteFile.open(tmp_path / "new.db", new(breaking, column, later(lambda db: None)))
    await file.close()
    assert look(file.path, new(breaking, column, later(lambda db: None))) == Standing(4, 4, State.CURRENT)


# -- failures and rivals -----------------------------------------------------------------------------------------------


async def test_a_step_that_fails_is_undone_and_tried_again_by_the_next_write(path: Path) -> None:
    fails = [True]

    def halfway(db: Database) -> None:
        db.execute("CREATE TABLE half (id INTEGER)")
        if fails.pop():
            raise sqlite3.OperationalError("the disk does not answer")

    file = await SqliteFile.open(path, new(halfway))
    with pytest.raises(StorageUnavailable, match="does not answer"):
        await write(file, "second")
    assert look(path, old()) == Standing(1, 1, State.CURRENT)
    fails.append(False)
    await write(file, "second")
    await file.close()
    assert look(path, old()).state is State.REFUSED


async def test_a_step_waits_for_somebody_who_writes(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO rows VALUES ('theirs')")
    done: list[Standing | None] = []
    thread = threading.Thread(target=lambda: done.append(finish(path, new(index))))
    thread.start()
    time.sleep(0.2)
    assert not done
    writer.execute("COMMIT")
    thread.join(30)
    writer.close()
    assert done == [Standing(2, 2, State.CURRENT)]


async def test_looking_leaves_no_trace_whether_a_file_is_in_use_or_not(path: Path) -> None:
    path.with_name("test.db.lock").unlink()
    before = everything(path.parent)
    assert look(path, new(index)).state is State.BEHIND
    assert everything(path.parent) == before
    file = await SqliteFile.open(path, old())
    await write(file, "second")
    before = everything(path.parent)
    assert look(path, new(index)).state is State.BEHIND
    assert {name: before[name] for name in ("test.db", "test.db-wal")}.items() <= everything(path.parent).items()
    assert everything(path.parent).keys() == before.keys()
    await file.close()


def test_no_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    assert finish(tmp_path / "none.db", old()) is None
    assert look(tmp_path / "none.db", old()) == Standing(None, 1, State.UNREADABLE)
    (tmp_path / "damaged.db").write_bytes(b"no database at all\n" * 500)
    assert finish(tmp_path / "damaged.db", old()) == look(tmp_path / "damaged.db", old())
    assert look(tmp_path / "damaged.db", old()).state is State.DAMAGED
    assert not (tmp_path / "none.db").exists()
