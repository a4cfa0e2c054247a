"""Answers that are given again without a thread: never older than the file, whoever wrote to it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from blobstore.errors import Moved, StorageUnavailable
from blobstore.sqlite import recalled, sqlite3
from blobstore.sqlite.file import SqliteFile

MIGRATIONS = Migrations("test")


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    db.execute("CREATE TABLE rows (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")


class Looks:
    """Reads the value of a name, and counts how often the file was really asked."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self.count = 0

    async def value(self, name: str, size: Callable[[str | None], int] = lambda _: 1) -> str | None:
        def run(db: sqlite3.Connection) -> str | None:
            self.count += 1
            row = db.execute("SELECT value FROM rows WHERE name = ?", (name,)).fetchone()
            return None if row is None else str(row[0])

        return await self._file.recall(("value", name), run, size)

    async def warm(self, *names: str) -> None:
        """Until each of them is kept: the first look of all only begins to watch."""
        for _ in range(2):
            for name in names:
                await self.value(name)
        self.count = 0


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteFile]:
    file = await SqliteFile.open(tmp_path / "test.db", MIGRATIONS)
    yield file
    await file.close()


@pytest.fixture
def looks(file: SqliteFile) -> Looks:
    return Looks(file)


async def put(file: SqliteFile, name: str, value: str) -> None:
    await file.execute("INSERT INTO rows VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))


async def test_what_nobody_has_changed_is_read_once(file: SqliteFile, looks: Looks) -> None:
    await put(file, "a", "1")
    await looks.warm("a", "none")
    assert [await looks.value("a"), await looks.value("none"), looks.count] == ["1", None, 0]


async def test_every_commit_is_seen_by_whoever_asks_after_it(file: SqliteFile, looks: Looks) -> None:
    for number in range(20):
        await put(file, "a", str(number))
        assert [await looks.value("a") for _ in range(2)] == [str(number)] * 2


async def test_a_commit_of_another_process_is_seen(file: SqliteFile, looks: Looks) -> None:
    await put(file, "a", "1")
    await looks.warm("a")
    other = await SqliteFile.open(file.path, MIGRATIONS)
    theirs = Looks(other)
    for number in range(5):
        await put(other, "a", str(number))
        assert await looks.value("a") == str(number)
        await put(file, "a", "ours")
        assert await theirs.value("a") == "ours"
    await other.close()


async def test_what_was_read_while_somebody_wrote_is_not_kept(file: SqliteFile, looks: Looks) -> None:
    await put(file, "a", "old")
    await looks.warm("a")
    await put(file, "b", "anything")

    def overtaken(db: sqlite3.Connection) -> str:
        value: str = db.execute("SELECT value FROM rows WHERE name = 'a'").fetchone()[0]
        with sqlite3.connect(file.path) as writer:  # commits while this snapshot is still open
            writer.execute("UPDATE rows SET value = 'new' WHERE name = 'a'")
        writer.close()
        return value

    assert await file.recall("overtaken", overtaken) == "old"
    assert await file.recall("overtaken", lambda db: "asked anew") == "asked anew"


async def test_a_log_that_is_cut_to_nothing_is_not_held_up(file: SqliteFile, looks: Looks) -> None:
    await put(file, "a", "1")
    await looks.warm("a")
    assert await file.truncate_wal(0.0)
    assert await looks.value("a") == "1"
    await put(file, "a", "2")
    assert await looks.value("a") == "2"


async def test_no_more_is_kept_than_there_is_room_for(
    file: SqliteFile, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await looks.warm("x")
    each = recalled.CAPACITY // 4
    for name in "abcde":
        await looks.value(name, lambda _: each)
    looks.count = 0
    assert [await looks.value(name) for name in "bcde"] == [None] * 4
    assert looks.count == 0
    await looks.value("a", lambda _: each)
    await looks.value("f", lambda _: 2 * each + 1)
    await looks.value("f", lambda _: 2 * each + 1)
    assert looks.count == 3


async def test_a_file_that_lost_its_name_answers_nothing_more(file: SqliteFile, looks: Looks) -> None:
    await looks.warm("a")
    file.path.unlink()
    with pytest.raises(Moved):
        await looks.value("a")


async def test_a_folder_that_is_none_any_more_is_no_mistake_of_ours(tmp_path: Path) -> None:
    folder, aside = tmp_path / "folder", tmp_path / "aside"
    file = await SqliteFile.open(folder / "test.db", MIGRATIONS)
    looks = Looks(file)
    await looks.warm("a")
    folder.rename(aside)
    folder.touch()
    with pytest.raises(Moved):
        await looks.value("a")
    folder.unlink()
    folder.symlink_to(folder)
    with pytest.raises(StorageUnavailable):
        await looks.value("a")
    folder.unlink()
    aside.rename(folder)
    assert await looks.value("a") is None
    await file.close()


async def test_a_file_that_is_closed_answers_nothing_more(file: SqliteFile, looks: Looks) -> None:
    await looks.warm("a")
    await file.close()
    with pytest.raises(StorageUnavailable):
        await looks.value("a")
