"""One SQLite file under many tasks and processes: group commit, snapshots, locks, and a log that can be emptied."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database, Migrations

from blobstore.errors import Damaged, Moved, NewerVersion, OutOfSpace, StorageUnavailable
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect, rewrite_table
from blobstore.sqlite.cut import cut, is_sound
from blobstore.sqlite.file import SqliteFile
from blobstore.sqlite.outside import State, finish, look, place_of
from tests.fakes.descriptors import open_under

MIGRATIONS = Migrations("test")


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    db.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE rows (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    db.execute("CREATE TABLE children (parent INTEGER NOT NULL REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteFile]:
    file = await SqliteFile.open(tmp_path / "folder" / "test.db", MIGRATIONS)
    yield file
    await file.close()


async def insert(file: SqliteFile, name: str, size: int = 1) -> None:
    await file.execute("INSERT INTO rows VALUES (?, zeroblob(?))", (name, size))


async def names(file: SqliteFile) -> list[str]:
    return [row[0] for row in await file.read(lambda db: db.execute("SELECT name FROM rows").fetchall())]


class Gate:
    """Keeps the writer thread busy, so that what is written meanwhile forms one group."""

    def __init__(self, file: SqliteFile) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self._waiting = asyncio.ensure_future(file.write(lambda db: self._wait()))

    def _wait(self) -> None:
        self._reached.set()
        self._open.wait(30)

    async def __aenter__(self) -> None:
        await asyncio.to_thread(self._reached.wait, 30)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.05)  # let what was begun reach the queue
        self._open.set()
        await self._waiting


# -- group commit --------------------------------------------------------------------------------------------------


async def test_requests_that_wait_share_one_commit(file: SqliteFile) -> None:
    statements: list[str] = []
    async with Gate(file):
        await_all = asyncio.gather(
            file.write(lambda db: db.set_trace_callback(statements.append)), *(insert(file, str(n)) for n in range(100))
        )
    await await_all
    assert len(await names(file)) == 100
    assert statements.count("COMMIT") == 1


async def test_a_request_that_fails_undoes_itself_alone(file: SqliteFile) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO rows VALUES ('half', x'')")
        raise KeyError("mine")

    async with Gate(file):
        everything = asyncio.gather(
            insert(file, "before"),
            file.write(half),
            insert(file, "before"),
            insert(file, "after"),
            return_exceptions=True,
        )
    outcomes = await everything
    assert [type(outcome) for outcome in outcomes] == [type(None), KeyError, sqlite3.IntegrityError, type(None)]
    assert await names(file) == ["after", "before"]


async def test_a_request_that_fails_with_nobody_beside_it_leaves_nothing(file: SqliteFile) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO rows VALUES ('half', x'')")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await file.write(half)
    await insert(file, "after")
    with pytest.raises(sqlite3.IntegrityError):
        await insert(file, "after")
    assert await names(file) == ["after"]


async def test_when_the_commit_fails_nobody_is_told_done(file: SqliteFile) -> None:
    async with Gate(file):
        everything = asyncio.gather(
            insert(file, "innocent"), file.execute("INSERT INTO children VALUES (7)"), return_exceptions=True
        )
    outcomes = await everything
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 2
    assert await names(file) == []
    await insert(file, "later")
    assert await names(file) == ["later"]


async def test_a_full_disk_is_told_to_whoever_lost_by_it(file: SqliteFile) -> None:
    await file.write(lambda db: db.execute("PRAGMA max_page_count = 20").fetchall())
    sizes = [100, 100, 500_000, 100, 30_000, 30_000, 30_000]
    async with Gate(file):
        everything = asyncio.gather(
            *(insert(file, str(number), size) for number, size in enumerate(sizes)), return_exceptions=True
        )
    outcomes = await everything
    assert any(outcomes)
    assert all(outcome is None or isinstance(outcome, OutOfSpace) for outcome in outcomes)
    assert await names(file) == [str(number) for number, outcome in enumerate(outcomes) if outcome is None]
    await file.write(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchall())
    await insert(file, "later", 500_000)
    assert "later" in await names(file)


async def test_a_request_that_is_cancelled_in_the_queue_is_not_run(file: SqliteFile) -> None:
    async with Gate(file):
        waiting = asyncio.ensure_future(insert(file, "never"))
        other = asyncio.ensure_future(insert(file, "other"))
        await asyncio.sleep(0.05)
        waiting.cancel()
    await other
    assert waiting.cancelled()
    assert await names(file) == ["other"]


async def test_the_number_of_changed_rows_is_given_back(file: SqliteFile) -> None:
    assert await file.executemany("INSERT INTO rows VALUES (?, x'')", [("a",), ("b",), ("c",)]) == 3
    assert await file.execute("UPDATE rows SET value = x'01' WHERE name != ?", ("a",)) == 2
    assert await file.execute("DELETE FROM rows WHERE name = 'nobody'") == 0


# -- alone ---------------------------------------------------------------------------------------------------------


async def test_a_transaction_of_its_own_is_all_or_nothing(file: SqliteFile) -> None:
    def fails(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM rows")
        raise KeyError("mine")

    await insert(file, "a")
    with pytest.raises(KeyError):
        await file.write_alone(fails)
    assert await names(file) == ["a"]
    assert await file.write_alone(lambda db: db.execute("DELETE FROM rows").rowcount) == 1
    assert await names(file) == []


async def test_requests_before_and_after_one_that_runs_alone_are_done(file: SqliteFile) -> None:
    async with Gate(file):
        everything = asyncio.gather(
            *(insert(file, f"before {n}") for n in range(3)),
            file.write_alone(lambda db: db.execute("SELECT count(*) FROM rows").fetchone()[0]),
            *(insert(file, f"after {n}") for n in range(3)),
            file.truncate_wal(5.0),
        )
    outcomes = await everything
    assert (outcomes[3], outcomes[-1]) == (3, True)
    assert len(await names(file)) == 6


async def test_a_rewritten_table_has_its_rows_and_its_constraints(file: SqliteFile) -> None:
    await file.executemany("INSERT INTO rows VALUES (?, ?)", [(str(n), b"%d" % n * 2000) for n in range(50)])
    reader = await SqliteFile.open(file.path, MIGRATIONS)
    before = await reader.read(lambda db: db.execute("SELECT * FROM rows").fetchall())
    for _ in range(2):
        await file.write_alone(lambda db: rewrite_table(db, "rows"))
        assert await reader.read(lambda db: db.execute("SELECT * FROM rows").fetchall()) == before
        with pytest.raises(sqlite3.IntegrityError):
            await insert(file, "7")
    assert await file.check() == []
    await reader.close()


async def test_a_rewritten_table_leaves_only_zeros_in_the_pages_that_it_had(file: SqliteFile) -> None:
    await file.executemany("INSERT INTO rows VALUES (?, ?)", [(str(n), b"\x01needle" * 1000) for n in range(50)])
    await file.execute("UPDATE rows SET value = ?", (b"\x01other" * 1000,))
    await file.write_alone(lambda db: rewrite_table(db, "rows"))
    await file.execute("DELETE FROM rows")
    assert await file.truncate_wal(5.0)
    for path in file.path.parent.iterdir():
        assert b"needle" not in path.read_bytes()
        assert b"\x01other" not in path.read_bytes()


# -- readers -------------------------------------------------------------------------------------------------------


async def test_a_reader_sees_one_snapshot(file: SqliteFile) -> None:
    reading, written = threading.Event(), threading.Event()

    def twice(db: sqlite3.Connection) -> list[int]:
        first = db.execute("SELECT count(*) FROM rows").fetchone()[0]
        reading.set()
        written.wait(30)
        return [first, db.execute("SELECT count(*) FROM rows").fetchone()[0]]

    counts = asyncio.ensure_future(file.read(twice))
    await asyncio.to_thread(reading.wait, 30)
    await insert(file, "a")
    written.set()
    assert await counts == [0, 0]
    assert await names(file) == ["a"]


async def test_a_reader_cannot_write(file: SqliteFile) -> None:
    with pytest.raises(StorageUnavailable):
        await file.read(lambda db: db.execute("INSERT INTO rows VALUES ('a', x'')"))
    assert await names(file) == []


async def test_a_reader_that_fails_holds_no_snapshot(file: SqliteFile) -> None:
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            await file.read(lambda db: db.execute("SELECT * FROM parents").fetchall() or 1 / 0)
    await insert(file, "a")
    assert await file.truncate_wal(0.0)


# -- locks ---------------------------------------------------------------------------------------------------------


async def test_a_writer_waits_for_one_of_another_process(file: SqliteFile) -> None:
    other = sqlite3.connect(file.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO rows VALUES ('other', x'')")
    writing = asyncio.ensure_future(insert(file, "mine"))
    await asyncio.sleep(0.3)
    assert not writing.done()
    other.execute("COMMIT")
    await writing
    other.close()
    assert await names(file) == ["mine", "other"]


async def test_emptying_the_log_waits_for_a_reader_and_says_so(file: SqliteFile) -> None:
    await insert(file, "a", 100_000)
    reader = sqlite3.connect(file.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM rows").fetchall()
    await insert(file, "b", 100_000)
    log = file.path.with_name(file.path.name + "-wal")
    start = time.monotonic()
    assert await file.truncate_wal(0.3) is False
    assert 0.3 <= time.monotonic() - start < 5
    assert log.stat().st_size > 0
    waiting = asyncio.ensure_future(file.truncate_wal(30.0))
    await insert(file, "c")
    reader.close()
    assert await waiting is True
    assert await names(file) == ["a", "b", "c"]


async def test_the_log_can_be_emptied_while_others_write(file: SqliteFile) -> None:
    other = await SqliteFile.open(file.path, MIGRATIONS)
    stop = False

    async def keep_writing(where: SqliteFile, name: str) -> int:
        count = 0
        while not stop:
            await insert(where, f"{name}{count}")
            count += 1
        return count

    writers = [asyncio.ensure_future(keep_writing(where, name)) for where, name in ((file, "a"), (other, "b"))]
    assert await asyncio.gather(*(file.truncate_wal(30.0) for _ in range(3))) == [True] * 3
    stop = True
    counts = await asyncio.gather(*writers)
    assert len(await names(file)) == sum(counts)
    await other.close()


# -- opening and closing -------------------------------------------------------------------------------------------


async def test_closing_finishes_what_was_written_and_is_harmless_twice(tmp_path: Path) -> None:
    file = await SqliteFile.open(tmp_path / "test.db", MIGRATIONS)
    writing = [asyncio.ensure_future(insert(file, str(n))) for n in range(50)]
    await asyncio.sleep(0)
    await file.close()
    await asyncio.gather(*writing)
    await file.close()
    for call in (file.read(lambda db: None), file.write(lambda db: None), file.truncate_wal(1.0)):
        with pytest.raises(StorageUnavailable):
            await call
    file = await SqliteFile.open(tmp_path / "test.db", MIGRATIONS)
    assert len(await names(file)) == 50
    await file.close()


async def test_a_file_of_a_newer_version_is_refused_unchanged(tmp_path: Path) -> None:
    newer = Migrations("test")
    newer(name="m001_initial")(m001_initial)
    newer(name="m002_next")(lambda db: db.execute("CREATE TABLE next (id INTEGER)"))
    await (await SqliteFile.open(tmp_path / "test.db", newer)).close()
    before = (tmp_path / "test.db").read_bytes()
    with pytest.raises(NewerVersion, match="m002_next"):
        await SqliteFile.open(tmp_path / "test.db", MIGRATIONS)
    assert (tmp_path / "test.db").read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_unchanged(tmp_path: Path) -> None:
    (tmp_path / "test.db").write_bytes(b"no database at all\n" * 500)
    for _ in range(4):
        with pytest.raises(Damaged):
            await SqliteFile.open(tmp_path / "test.db", MIGRATIONS)
    assert open_under(tmp_path) == []
    assert (tmp_path / "test.db").read_bytes() == b"no database at all\n" * 500


async def test_a_damaged_page_is_told_from_a_disk_that_does_not_answer(file: SqliteFile) -> None:
    await file.executemany("INSERT INTO rows VALUES (?, zeroblob(3000))", [(str(n),) for n in range(200)])
    await file.close()
    with file.path.open("r+b") as raw:
        raw.seek(20 * 4096)
        raw.write(b"\xff" * 4096 * 20)
    damaged = await SqliteFile.open(file.path, MIGRATIONS)
    with pytest.raises(Damaged):
        await damaged.read(lambda db: db.execute("SELECT * FROM rows").fetchall())
    assert "malformed" in str(await damaged.check())
    await damaged.close()


async def test_what_is_written_is_overwritten_when_it_goes(file: SqliteFile) -> None:
    pragmas = ("secure_delete", "synchronous", "journal_mode", "foreign_keys")
    settings = await file.write(lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas])
    assert settings == [1, 2, "wal", 1]


@pytest.mark.parametrize("in_its_place", [False, True])
async def test_nothing_is_acknowledged_by_a_file_that_lost_its_name(file: SqliteFile, in_its_place: bool) -> None:
    await insert(file, "before")
    file.path.rename(file.path.with_suffix(".old"))
    if in_its_place:
        other = await SqliteFile.open(file.path, MIGRATIONS)
        await other.close()
    for use in (insert(file, "after"), file.write_alone(lambda db: None), names(file)):
        with pytest.raises(StorageUnavailable, match="removed or replaced"):
            await use
    assert file.path.exists() == in_its_place


# -- a file that goes while it is opened -------------------------------------------------------------------------------


def open_again(file: SqliteFile) -> None:
    asyncio.run(SqliteFile.open(file.path, MIGRATIONS, make=False))


def take_snapshot(file: SqliteFile) -> None:
    with file.snapshot():
        pass


def lock_with_others(file: SqliteFile) -> None:
    with cut(lambda: [file.path]):
        pass


OPENINGS: list[Callable[[SqliteFile], object]] = [
    open_again,
    take_snapshot,
    lock_with_others,
    lambda file: file._read(lambda db: db.execute("SELECT name FROM rows").fetchall()),  # a reader's first
    lambda file: connect(file.path),
]


class Vanishing:
    """The files of a database go as soon as one has connected to it, before the first statement."""

    def __init__(self, patch: pytest.MonkeyPatch, path: Path, suffixes: Sequence[str], *, in_its_place: bool) -> None:
        self.times = 0
        original = sqlite3.connect

        def connect(*arguments: Any, **settings: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = original(*arguments, **settings)
            if self.times or path.name not in str(arguments[0]):
                return connection
            self.times = 1
            for suffix in suffixes:
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            if in_its_place:
                path.write_bytes(b"of another")
            return connection

        patch.setattr(sqlite3, "connect", connect)


@pytest.mark.parametrize(
    ("suffixes", "in_its_place"),
    [([""], False), (["", "-wal"], False), (["", "-wal", "-shm"], False), (["", "-wal", "-shm"], True)],
    ids=str,
)
@pytest.mark.parametrize("opening", OPENINGS)
async def test_a_file_that_goes_while_it_is_opened_is_away(
    file: SqliteFile,
    monkeypatch: pytest.MonkeyPatch,
    suffixes: Sequence[str],
    opening: Callable[[SqliteFile], object],
    in_its_place: bool,
) -> None:
    await insert(file, "kept in the log")
    with monkeypatch.context() as patch:
        vanishing = Vanishing(patch, file.path, suffixes, in_its_place=in_its_place)
        if in_its_place and opening is lock_with_others:
            with pytest.raises(Damaged):  # the one that is named now
                await asyncio.to_thread(opening, file)
        else:
            with pytest.raises(Moved):
                await asyncio.to_thread(opening, file)
    assert vanishing.times
    assert file.path.exists() == in_its_place
    with pytest.raises(Moved):
        await insert(file, "after")
    with pytest.raises(Moved):
        await file.read(lambda db: None)


def _is_readable(path: Path) -> bool:
    return look(path, MIGRATIONS).state is not State.UNREADABLE


@pytest.mark.parametrize("suffixes", [[""], ["", "-wal", "-shm"]], ids=str)
@pytest.mark.parametrize("looking", [place_of, is_sound, _is_readable, lambda path: finish(path, MIGRATIONS)])
async def test_a_file_that_goes_while_it_is_looked_at_is_not_there(
    file: SqliteFile, monkeypatch: pytest.MonkeyPatch, suffixes: Sequence[str], looking: Callable[[Path], object]
) -> None:
    with monkeypatch.context() as patch:
        vanishing = Vanishing(patch, file.path, suffixes, in_its_place=False)
        assert not await asyncio.to_thread(looking, file.path)
    assert vanishing.times == 1
    assert not file.path.exists()


async def test_a_cut_leaves_out_what_went_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(2)]
    for path in paths:
        await (await SqliteFile.open(path, MIGRATIONS)).close()
    with monkeypatch.context() as patch:
        Vanishing(patch, paths[1], [""], in_its_place=False)
        with cut(lambda: [path for path in paths if path.exists()]) as moment:
            assert moment.files == [paths[0]]
