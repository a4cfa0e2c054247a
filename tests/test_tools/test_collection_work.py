"""The work of a collection is in proportion to the garbage, not to the store: statements and file calls are counted."""

import asyncio
import re
from contextlib import closing
from pathlib import Path

from blobstore.gc import Wanted
from blobstore.sqlite.connection import connect
from blobstore.sqlite.file import SqliteFile
from records.store import RecordStore
from tests.fakes.counting import Counts, counting
from tools.bench.gc import EVERYTHING, Place
from tools.bench.litter import litter

DEAD = 60

SMALL = (
    "leases",
    "connectors",
    "c",
    "p",
    "owners",
    "volumes",
    "pins",
    "places",
    "moving",
    "erasures",
    "store",
    "slack",
    "json_each",
    "CONSTANT",
    "x",
)
"""Tables that may be read as a whole: their rows are as many as owners, connectors or uploads under way."""

PARTIAL = ("holders_unconfirmed", "blobs_condemned", "blobs_orphaned")
"""Indexes of nothing but what a collection works on."""

_INFINITY = re.compile(r"\bInf\b")
"""As SQLite writes a number into the text of a statement that ran, though it does not read it."""


async def files(place: Place) -> list[SqliteFile]:
    """The databases of the store."""
    parts = (place.store.central, place.store.blobs.catalogue, await place.store.engines.of(place.owner.id))
    return [file(part) for part in parts]


def file(part: object) -> SqliteFile:
    """The database behind whatever follows a part when it moves."""
    while not isinstance(found := vars(part).get("_file"), SqliteFile):
        inside = vars(part).get("_here") or vars(part).get("_whole")
        part = getattr(inside, "adapter", inside)
    return found


async def collected(directory: Path, live: int) -> Counts:
    place = await Place.make(directory)
    await asyncio.to_thread(litter, directory, place.owner, live, linked=True)
    await place.collect(DEAD)
    await asyncio.to_thread(litter, directory, place.owner, DEAD, linked=False)
    async with counting(await files(place)) as counts:
        found = await place.store.collections.run(Wanted(0, fuse=EVERYTHING))
    await place.store.close()
    assert found.blobs == DEAD
    return counts


async def test_live_blobs_cost_a_collection_neither_statements_nor_file_calls(tmp_path: Path) -> None:
    alone = await collected(tmp_path / "alone", 0)
    among = await collected(tmp_path / "among", 2000)
    assert DEAD < len(alone.statements) < 18 * DEAD
    assert 0.9 < len(among.statements) / len(alone.statements) < 1.1
    assert DEAD < alone.files < 10 * DEAD
    assert 0.9 < among.files / alone.files < 1.1


async def test_no_statement_of_a_collection_reads_a_whole_table(tmp_path: Path) -> None:
    counts = await collected(tmp_path / "data", 500)
    scans = set()
    for path, sql in counts.statements:
        with closing(connect(path)) as db:
            for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {re.sub(_INFINITY, '9e999', sql)}").fetchall():
                found = re.match(r"SCAN (\w+)|SEARCH (\w+) .*\(namespace=\?\)", detail)
                small = found is None or (found[1] or found[2]) in SMALL
                if not small and not any(detail.endswith(index) for index in PARTIAL):
                    scans.add((detail, sql))
    assert scans == set()


async def test_the_claims_of_one_blob_are_found_without_those_of_others(tmp_path: Path) -> None:
    store = await RecordStore.open(tmp_path / "data")
    owner = await store.access.owner("ann")
    place = Place(store, owner)
    await store.engines.of(owner.id)
    await asyncio.to_thread(litter, store.directory, owner, 1, linked=True)
    (stored,) = await store.blobs.catalogue.walk(None, 1)
    async with counting(await files(place)) as counts:
        await store.blobs.catalogue.claims_of(owner.id, stored.name.digest)
    ((path, sql),) = counts.statements
    with closing(connect(path)) as db:
        plan = [detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
    assert len(plan) == 1
    assert "namespace=? AND digest=?" in plan[0]
    await store.close()
