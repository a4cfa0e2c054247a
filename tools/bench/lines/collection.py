"""Collecting dead blobs among many live ones, beside unlink and DELETE of as many in a store like it."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from blobstore.sqlite.connection import connect, make_file
from records.central import Owner
from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.gc import Place
from tools.bench.litter import litter
from tools.bench.pairs import Work

DEAD, LIVE = 1_000, 1_000_000


def collect(bench: Bench) -> Iterator[Figure]:
    """Blobs whose records were just deleted: what follows from that is part of the work."""
    dead, live = bench.sized(DEAD), bench.sized(LIVE)
    with asyncio.Runner() as runner:
        place = runner.run(Place.make(bench.scratch / "data"))
        litter(place.store.directory, place.owner, live, linked=True)
        work = lambda: runner.run(place.collect(dead))  # noqa: E731
        peer = f"unlink of {dead:,} files, DELETE of their rows"
        yield bench.versus(peer, Goal(Of.TIME, 3), work, _unlinking(place, bench.scratch / "bare", dead))
        runner.run(place.store.close())


@contextmanager
def _unlinking(place: Place, folder: Path, dead: int) -> Iterator[Work]:
    """In a copy of the databases, so that they are as large."""
    catalogue, records = Path("catalogue.db"), Path("records") / f"{place.owner.id}.db"
    (folder / "records").mkdir(parents=True)
    for part in (catalogue, records):
        make_file(folder / part)
        with closing(connect(place.store.directory / part)) as source, closing(connect(folder / part)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = WAL").fetchall()
    yield partial(_unlinked, folder, place.owner, dead, (catalogue, records))


def _unlinked(folder: Path, owner: Owner, dead: int, databases: Sequence[Path]) -> float:
    litter(folder, owner, dead, linked=False)
    os.sync()
    paths = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    digests = [(bytes.fromhex(path.name.partition(".")[0]),) for path in paths]
    catalogue, records = (connect(folder / part) for part in databases)
    with closing(catalogue), closing(records):
        begun = time.perf_counter()
        for path in paths:
            path.unlink()
        for db, statements in ((records, _RECORDS), (catalogue, _CATALOGUE)):
            db.execute("BEGIN IMMEDIATE")
            for sql in statements:
                db.executemany(sql.format(namespace=owner.id), digests)
            db.execute("COMMIT")
        return time.perf_counter() - begun


_RECORDS = ("DELETE FROM unlinked WHERE connector = 1 AND digest = ?",)
_CATALOGUE = (
    "DELETE FROM holders WHERE namespace = '{namespace}' AND digest = ?",
    "DELETE FROM blobs WHERE namespace = '{namespace}' AND digest = ?",
)

LINES = (Line("collect", "collect 1,000 dead blobs of 1,000,000 live", collect),)
