"""The sweep that brings a directory's files to the latest version."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from blobstore.locked import try_file_lock
from blobstore.sqlite.outside import State, finish
from records import versions
from records.engines.sqlite import SqliteEngine
from records.layout import SWEPT
from records.versions import Sweep
from tests.fakes.next_version import add_to


def next_version(migrations: Migrations) -> Migrations:
    """What the next version knows; this process's own knowledge stays as it is."""
    after = Migrations(migrations.name)
    after._migrations = list(migrations._migrations)
    add_to(after)
    return after


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, the program is its next version."""

    def now() -> None:
        monkeypatch.setattr(versions, "KINDS", {kind: next_version(each) for kind, each in versions.KINDS.items()})

    return now


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """With four record files."""
    engine = await SqliteEngine.open(tmp_path / "records" / "o1.db")
    await engine.close()
    (tmp_path / "records" / "o2").mkdir()
    for name in ("o2/a", "o2/b", "o2/c"):
        shutil.copy(tmp_path / "records" / "o1.db", tmp_path / "records" / f"{name}.db")
    return tmp_path


def states(directory: Path) -> list[State]:
    return [each.standing.state for each in versions.versions(directory)]


async def test_a_sweep_takes_one_file_at_a_time(directory: Path, upgrade: Callable[[], None]) -> None:
    upgrade()
    sweep = Sweep(directory)
    for done in range(4):
        assert states(directory) == [State.CURRENT] * done + [State.BEHIND] * (4 - done)
        assert sweep.step()
    assert not sweep.step()


async def test_one_process_sweeps_at_a_time(directory: Path, upgrade: Callable[[], None]) -> None:
    upgrade()
    with try_file_lock(directory / "swept.lock"):
        assert not Sweep(directory).step()
    assert Sweep(directory).step()


async def test_a_file_that_cannot_be_brought_up_keeps_no_other_and_is_tried_again(
    directory: Path, upgrade: Callable[[], None]
) -> None:
    good = (directory / "records" / "o2" / "a.db").read_bytes()
    (directory / "records" / "o2" / "a.db").write_bytes(b"no database at all\n" * 500)
    upgrade()
    sweep = Sweep(directory)
    while sweep.step():
        pass
    assert states(directory) == [State.CURRENT, State.DAMAGED, State.CURRENT, State.CURRENT]
    (directory / "records" / "o2" / "a.db").write_bytes(good)
    while sweep.step():
        pass
    assert states(directory) == [State.CURRENT] * 4
    assert (directory / SWEPT).exists()


async def test_once_all_is_swept_a_start_opens_no_file_however_many_there_are(
    directory: Path, upgrade: Callable[[], None], monkeypatch: pytest.MonkeyPatch, sized: Callable[[int, int], int]
) -> None:
    for number in range(sized(40, 1000)):
        shutil.copy(directory / "records" / "o1.db", directory / "records" / "o2" / f"{number}.db")
    sweep = Sweep(directory)
    while sweep.step():
        pass
    touched: list[Path] = []

    def counted(path: Path, migrations: Migrations) -> object:
        touched.append(path)
        return finish(path, migrations)

    monkeypatch.setattr(versions, "finish", counted)
    assert not Sweep(directory).step()
    assert touched == []
    upgrade()
    assert Sweep(directory).step()
    assert len(touched) == 1


async def test_a_version_that_was_swept_is_swept_again_for_the_next(
    directory: Path, upgrade: Callable[[], None]
) -> None:
    sweep = Sweep(directory)
    while sweep.step():
        pass
    upgrade()
    assert set(states(directory)) == {State.BEHIND}
    while sweep.step():
        pass
    assert set(states(directory)) == {State.CURRENT}


def test_every_kind_of_file_can_take_a_step_on_opening_and_one_for_later(tmp_path: Path) -> None:
    for kind, migrations in versions.KINDS.items():
        database = Database(tmp_path / f"{kind}.db")
        next_version(migrations).apply(database)
        database.close()
