"""Files of every released version: they open, take the steps to the present one, and keep what is in them.

`tests/golden` has them as SQL text; a version that is released adds its own (`python -m tests.fakes.golden`).
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.sqlite import sqlite3
from blobstore.sqlite.outside import State, finish
from records.centrals.sqlite import SqliteCentral
from records.engines.sqlite import SqliteEngine
from records.versions import KINDS

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("*.sql"), key=lambda path: path.name)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file as that version left it."""
    path: Path = tmp_path / f"{request.param.stem.partition('-')[0]}.db"
    with sqlite3.connect(path) as db:
        db.executescript(request.param.read_text())
    db.close()
    return path


def schema(path: Path) -> set[tuple[str, str]]:
    """What tables, indexes and triggers there are. Views are made of what is in a file."""
    with sqlite3.connect(path) as db:
        rows = db.execute(
            "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' AND type != 'view'"
        ).fetchall()
    db.close()
    return {(name, " ".join((sql or "").replace('"', "").split())) for name, sql in rows}


OPEN: dict[str, Callable[[Path], Awaitable[SqliteCentral | SqliteCatalogue | SqliteEngine]]] = {
    "central": SqliteCentral.open,
    "catalogue": SqliteCatalogue.open,
    "records": SqliteEngine.open,
}


async def make(kind: str, path: Path) -> None:
    opened = await OPEN[kind](path)
    await opened.close()


def test_there_is_a_file_of_the_present_version_of_each_kind() -> None:
    assert {f"{kind}-{len(steps._migrations)}" for kind, steps in KINDS.items()} <= {path.stem for path in FILES}


async def test_it_comes_to_the_tables_that_a_new_file_has(old: Path, tmp_path: Path) -> None:
    kind = old.stem
    standing = finish(old, KINDS[kind])
    assert standing is not None
    assert standing.state is State.CURRENT
    (tmp_path / "new").mkdir()
    await make(kind, tmp_path / "new" / old.name)
    assert schema(old) == schema(tmp_path / "new" / old.name)


async def test_what_is_in_it_is_read_and_written(old: Path) -> None:
    match old.stem:
        case "central":
            central = await SqliteCentral.open(old)
            owners = {owner.subject: owner.id for owner in await central.owners()}
            assert list(owners) == ["ann", "bob"]
            assert await central.chained(owners["ann"]) == len(await central.spine(owners["ann"], 0, 1000)) > 0
            assert await central.check() == []
            await central.close()
        case "catalogue":
            catalogue = await SqliteCatalogue.open(old)
            assert len(await catalogue.walk(None, 100)) == 4
            assert await catalogue.recount(repair=False) == []
            assert await catalogue.check() == []
            await catalogue.close()
        case _:
            engine = await SqliteEngine.open(old)
            assert sum(of.records for of in (await engine.stats()).values()) == 3
            assert await engine.check() == []
            await engine.leap()
            await engine.close()
