"""`blobstore bench gc`: dead blobs among many live ones, against the same number of dead blobs alone."""

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from blobstore.fuse import Fuse
from blobstore.gc import Wanted
from blobstore.sqlite.file import SqliteFile
from records.central import Owner
from records.store import RecordStore
from tools.bench.bare import row
from tools.bench.counting import counting
from tools.bench.litter import litter
from tools.output import json_option, listing

TIME_LIMIT = 1.5
COUNT_LOW, COUNT_HIGH = 0.9, 1.1

EVERYTHING = Fuse(max_share=1)
"""Of the dead alone everything goes."""


@dataclass(frozen=True, slots=True)
class Round:
    """One collection: wall seconds, SQL statements, file calls."""

    seconds: float
    statements: int
    files: int


@click.command()
@click.option("--dead", default=1000, show_default=True, help="Blobs that each collection removes.")
@click.option("--live", default=100_000, show_default=True, help="Blobs that stay, beside them.")
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def gc(dead: int, live: int, rounds: int, directory: Path | None, as_json: bool) -> None:
    """Collect dead blobs with and without many live ones beside them: time, statements and file calls."""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = asyncio.run(_measure(Path(name), dead, live, rounds))
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))
    if not all(each["within"] for each in rows):
        raise click.exceptions.Exit(1)


async def _measure(scratch: Path, dead: int, live: int, rounds: int) -> list[dict[str, object]]:
    alone, among = [await Place.make(scratch / name) for name in ("alone", "among")]
    await asyncio.to_thread(litter, among.store.directory, among.owner, live, linked=True)
    for place in (alone, among):  # warms the caches
        await place.collect(dead)
    pairs: list[tuple[Round, Round]] = []
    for number in range(rounds):
        places = (alone, among) if number % 2 == 0 else (among, alone)
        found = {place: await place.collect(dead) for place in places}
        pairs.append((found[alone], found[among]))
    for place in (alone, among):
        await place.store.close()
    return [
        row(f"{dead:,} dead alone, median s", statistics.median(one.seconds for one, _ in pairs)),
        row(f"{dead:,} dead among {live:,} live, median s", statistics.median(two.seconds for _, two in pairs)),
        row("time, median ratio", statistics.median(b.seconds / a.seconds for a, b in pairs), at_most=TIME_LIMIT),
        row("SQL statements, alone", statistics.median(one.statements for one, _ in pairs)),
        _count("SQL statements, ratio", [two.statements / one.statements for one, two in pairs]),
        row("file calls, alone", statistics.median(one.files for one, _ in pairs)),
        _count("file calls, ratio", [two.files / one.files for one, two in pairs]),
    ]


def _count(figure: str, ratios: list[float]) -> dict[str, object]:
    return row(figure, statistics.median(ratios), at_most=COUNT_HIGH, at_least=COUNT_LOW)


class Place:
    """A store with one owner."""

    def __init__(self, store: RecordStore, owner: Owner) -> None:
        self.store = store
        self.owner = owner

    @classmethod
    async def make(cls, directory: Path) -> "Place":
        """Make the directory."""
        store = await RecordStore.open(directory)
        owner = await store.access.owner("bench")
        await store.engines.of(owner.id)
        return cls(store, owner)

    async def collect(self, dead: int) -> Round:
        """Let so many blobs die, and collect them."""
        await asyncio.to_thread(litter, self.store.directory, self.owner, dead, linked=False)
        await asyncio.to_thread(os.sync)
        async with counting(await self.files()) as counts:
            started = time.perf_counter()
            collected = await self.store.collections.run(Wanted(0.0, fuse=EVERYTHING))
            seconds = time.perf_counter() - started
        assert collected.blobs == dead
        return Round(seconds, len(counts.statements), counts.files)

    async def files(self) -> list[SqliteFile]:
        """The databases of the store."""
        parts = (self.store.central, self.store.blobs.catalogue, await self.store.engines.of(self.owner.id))
        return [_file(part) for part in parts]


def _file(part: object) -> SqliteFile:
    """The database behind whatever follows a part when it moves."""
    while not isinstance(found := vars(part).get("_file"), SqliteFile):
        inside = vars(part).get("_here") or vars(part).get("_whole")
        part = getattr(inside, "adapter", inside)
    return found
