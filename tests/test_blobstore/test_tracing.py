"""A search in the files of a data directory: what it finds, and what living rows excuse."""

import os
import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from blobstore import searching, tracing
from blobstore.errors import StorageUnavailable
from blobstore.sqlite.connection import connect, make_file
from blobstore.tracing import Found, Hit, Search

RNG = random.Random(4)
SAMPLES = [RNG.randbytes(48).hex()[:96].encode() for _ in range(40)]


async def search(root: Path, *paths: str, databases: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> Found:
    return await searching.search(Search(str(root), SAMPLES, paths, databases, silent))


def database(path: Path, *values: bytes, table: str = "records") -> None:
    """A database with these texts in rows that stay."""
    make_file(path)
    with closing(connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, data TEXT)")
        db.executemany(f"INSERT INTO {table} (data) VALUES (?)", [(value.decode(),) for value in values])


async def test_files_are_searched_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000 + SAMPLES[3] + b"y" * 1000 + SAMPLES[3])
    (tmp_path / "b").write_bytes(b"nothing")
    found = await search(tmp_path, "a", "b")
    assert found.residue == [Hit("a", 1000, 3)]
    assert (found.files, found.bytes) == (2, 2192 + 7)


async def test_what_is_gone_or_no_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found = await search(tmp_path, "nowhere", "folder", "pipe")
    assert (found.files, found.bytes, found.hits, found.unread) == (0, 0, [], [])


async def test_a_link_is_not_followed_and_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(SAMPLES[0])
    (tmp_path / "link").symlink_to("file")
    found = await search(tmp_path, "link")
    assert (found.hits, found.unread) == ([], ["link"])


async def test_text_on_free_pages_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database(path, *SAMPLES)
    with closing(connect(path)) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("DROP TABLE records")
    found = await search(tmp_path, "a.db", databases=("a.db",))
    assert {hit.sample for hit in found.residue} == set(range(len(SAMPLES)))


async def test_a_living_row_excuses_what_it_shows_and_nothing_else(tmp_path: Path) -> None:
    database(tmp_path / "a.db", *(b"in the midst of " + sample + b" a text" for sample in SAMPLES[:10]))
    (tmp_path / "left").write_bytes(SAMPLES[5] + SAMPLES[20])
    found = await search(tmp_path, "a.db", "left", databases=("a.db",))
    assert set(found.living) == set(range(10))
    assert [(hit.path, hit.sample) for hit in found.residue] == [("left", 20)]


async def test_a_row_in_a_silent_table_excuses_nothing(tmp_path: Path) -> None:
    database(tmp_path / "a.db", SAMPLES[0], table="spine")
    found = await search(tmp_path, "a.db", databases=("a.db",), silent=("spine",))
    assert [hit.sample for hit in found.residue] == [0]


async def test_text_longer_than_a_page_is_found_on_overflow_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    long = b" ".join(SAMPLES) * 20
    database(path, long)
    with closing(connect(path)) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("DELETE FROM records")
    found = await search(tmp_path, "a.db", databases=("a.db",))
    assert {hit.sample for hit in found.residue} == set(range(len(SAMPLES)))


async def test_a_log_that_still_shows_a_row_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database(path)
    with closing(connect(path)) as db:
        db.execute("INSERT INTO records (data) VALUES (?)", (SAMPLES[0].decode(),))
        db.execute("DELETE FROM records")
        found = await search(tmp_path, "a.db", "a.db-wal", "a.db-shm", databases=("a.db",))
    assert [(hit.path, hit.sample) for hit in found.residue] == [("a.db-wal", 0)]


async def test_a_search_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.db").mkdir()
    (tmp_path / "left").write_bytes(SAMPLES[0])
    with pytest.raises(StorageUnavailable, match="unable to open database file"):
        await search(tmp_path, "left", databases=("a.db",))


async def test_a_damaged_database_excuses_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database" * 500)
    (tmp_path / "left").write_bytes(SAMPLES[0])
    found = await search(tmp_path, "left", databases=("a.db",))
    assert [hit.path for hit in found.residue] == ["left"]
    assert found.living == []


def test_the_child_that_every_erasure_starts_loads_no_event_loop() -> None:
    loads = f"import sys, {tracing.__name__}; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loads], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
