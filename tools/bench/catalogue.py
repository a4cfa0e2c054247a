"""`blobstore bench catalogue`: uploads, links and collections in the catalogue alone, in SQLite and PostgreSQL."""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click

from blobstore.catalogue import Catalogue, Claim, Lease
from blobstore.catalogues.postgres import PostgresCatalogue
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.digest import Content, Digest, Hasher
from blobstore.postgres import Database
from tools.bench.bare import row
from tools.output import json_option, listing

HOLDER = "bench"
NOW = 0.0
BATCH = 500
"""Blobs that one call holds, settles, releases, condemns or buries."""

T = TypeVar("T")
Rates = dict[str, float]


@click.command()
@click.option("--database-url", required=True, help="A database of PostgreSQL that may be filled.")
@click.option("--uploads", default=500, show_default=True, help="Uploads of each kind in each round.")
@click.option("--rounds", default=3, show_default=True, help="How often everything is measured.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where SQLite works: a real disk.")
@json_option
def catalogue(database_url: str, uploads: int, rounds: int, directory: Path | None, as_json: bool) -> None:
    """Upload, link and collect in the catalogue alone, side by side."""
    rows = asyncio.run(_measure(database_url, uploads, rounds, directory))
    listing(rows, as_json=as_json, columns=("figure", "value"))


async def _measure(url: str, uploads: int, rounds: int, directory: Path | None) -> list[dict[str, object]]:
    found: list[tuple[Rates, Rates]] = []
    for _ in range(rounds):
        async with _single(directory) as single, _postgres(url) as postgres:
            found.append((await _round(single, uploads), await _round(postgres, uploads)))
    rows: list[dict[str, object]] = []
    for figure in found[0][0]:
        rows.append(row(f"single: {figure}", statistics.median(one[figure] for one, _ in found)))
        rows.append(row(f"postgres: {figure}", statistics.median(two[figure] for _, two in found)))
        rows.append(row(f"ratio: {figure}", statistics.median(two[figure] / one[figure] for one, two in found)))
    return rows


@asynccontextmanager
async def _single(directory: Path | None) -> AsyncIterator[Catalogue]:
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        opened = await SqliteCatalogue.open(Path(name) / "catalogue.db")
        yield opened
        await opened.close()


@asynccontextmanager
async def _postgres(url: str) -> AsyncIterator[Catalogue]:
    database = await Database.open(url, size=16)
    yield await PostgresCatalogue.open(database)
    await database.close()


async def _round(catalogue: Catalogue, uploads: int) -> Rates:
    owners = [secrets.token_hex(8) for _ in range(18)]
    await _upload(catalogue, owners[:1], 20, 1)  # warms
    alone, _ = await _timed(_upload(catalogue, owners[:1], uploads // 5, 1))
    one, blobs = await _timed(_upload(catalogue, owners[1:2], uploads, 16))
    many, _ = await _timed(_upload(catalogue, owners[2:], uploads, 16))
    linked, _ = await _timed(_link(catalogue, owners[1], blobs))
    collected, _ = await _timed(_collect(catalogue, owners[1], blobs))
    return {
        "uploads/s, one at a time": uploads // 5 / alone,
        "uploads/s, 16 at once of one owner": uploads / one,
        "uploads/s, 16 at once of 16 owners": uploads / many,
        "blobs/s held and settled": len(blobs) / linked,
        "blobs/s released, condemned and buried": len(blobs) / collected,
    }


async def _timed(work: Awaitable[T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = await work
    return time.perf_counter() - started, result


async def _upload(catalogue: Catalogue, owners: list[str], count: int, at_once: int) -> list[Digest]:
    """Lease, adopt, publish, so many times; the blobs."""
    numbers = iter(range(count))
    blobs: list[Digest] = []

    async def some() -> None:
        for number in numbers:
            content = _content()
            lease = Lease(
                *(secrets.token_hex(16), owners[number % len(owners)], HOLDER, "instance", "process", NOW + 300),
                reserved=content.size,
                slot=str(content.digest),
            )
            claim = Claim(HOLDER, "instance", str(content.digest), "text/plain", NOW + 300)
            await catalogue.lease(lease)
            await catalogue.adopt(lease, content, claim, b"event")
            await catalogue.publish(lease, claim, NOW, b"event")
            blobs.append(content.digest)

    await asyncio.gather(*(some() for _ in range(at_once)))
    return blobs


def _content() -> Content:
    hasher = Hasher()
    hasher.update(secrets.token_bytes(32))
    return hasher.finish()


async def _link(catalogue: Catalogue, owner: str, blobs: list[Digest]) -> None:
    for part in _batches(blobs):
        await catalogue.hold(owner, HOLDER, part, NOW)
        await catalogue.settle(owner, HOLDER, [(digest, [str(digest)]) for digest in part])


async def _collect(catalogue: Catalogue, owner: str, blobs: list[Digest]) -> None:
    for part in _batches(blobs):
        await catalogue.release(owner, await catalogue.holders(owner, HOLDER, part), NOW)
        condemned = await catalogue.condemn(owner, part, "garbage bench", NOW + 1)
        await catalogue.buried([each.name for each in condemned], NOW)


def _batches(blobs: list[Digest]) -> list[list[Digest]]:
    return [blobs[first : first + BATCH] for first in range(0, len(blobs), BATCH)]
