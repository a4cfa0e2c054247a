"""`blobstore topology`: where records live, and moving them while servers run."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from records.central import Owner
from records.errors import SourceDown
from records.layout import CONFIGURATION, Topology
from records.machines import alone
from records.moving.centre import move_centre, remove_old_centre, require_room
from records.moving.database import database_moves
from records.moving.either import EitherEngines
from records.moving.elsewhere import files_are_lost
from records.moving.moves import Moves
from records.moving.switching import Switched
from records.store import RecordStore
from tools.configuration import configured, fix_topology
from tools.database import without_password
from tools.directory import is_store, require_store
from tools.down import tell_down
from tools.opening import TOPOLOGIES, Opening, messages, run_with_store, store_options
from tools.output import json_option, listing
from tools.progress import row_bar

SHOWN = ("owner", "connector", "topology", "records", "moving")
MOVED = ("owner", "connector", "streams", "records", "paused_ms")


@click.group()
def topology() -> None:
    """Where records live: see it, and move them."""


@topology.command()
@store_options
@click.option("--owner", help="Of this owner alone.")
@json_option
def show(opening: Opening, owner: str | None, as_json: bool) -> None:
    """Show where the records of each connector live, and what is on its way.

    Exit code 1: the records of some cannot be read; they are named, without a number of records.
    """
    down: list[tuple[str, SourceDown]] = []

    async def work(store: RecordStore) -> list[dict[str, Any]]:
        return [row for one in await _owners(store, owner) for row in await _shown(store, one, down)]

    listing(run_with_store(opening, work), as_json=as_json, columns=SHOWN)
    tell_down(down)


@topology.command()
@store_options
@click.option("--to", required=True, type=click.Choice(TOPOLOGIES), help="Where they shall live.")
@click.option("--owner", help="Of this owner alone; the directory's topology stays as it is then.")
@click.option("--files-lost", is_flag=True, help="The directory is no more that had the owner's files.")
@json_option
def migrate(opening: Opening, to: str, owner: str | None, files_lost: bool, as_json: bool) -> None:
    """Move records to another topology, connector by connector, also while servers run.

    Nothing is served from a copy before it was held against what it was made of. Run it again if it was cut off: it
    goes on where it was. To go back, run it with the other topology. `postgres` wants to be told `--database-url`, and
    takes along all else that is in databases, unless an owner is named.

    While the records of one owner are in files, and the rest in PostgreSQL, no other directory can open the store. If
    the one with the files is lost, --files-lost goes on with what of that owner the database still has.
    """
    wanted, url = Topology(to), _database_url(opening)
    if files_lost:
        if owner is None or url is None or wanted is not Topology.POSTGRES:
            raise click.UsageError(
                "--files-lost is about one --owner whose records come --to postgres --database-url …"
            )
        _without_files(opening.data, url, owner)
        if not is_store(opening.data):  # it was refused because of it, and may join now
            return
    require_store(opening.data)
    if wanted is Topology.POSTGRES:
        if url is None:
            raise click.ClickException("the topology postgres needs --database-url: where its database is")
        with messages():
            asyncio.run(require_room(opening.data, url))
        fix_topology(opening.data, opening.topology_there, url)  # servers that run are to find it
    with row_bar("records") as advance:

        async def work(store: RecordStore) -> list[dict[str, Any]]:
            return [row async for row in _migrated(store, owner, wanted, url, advance)]

        rows = run_with_store(opening, work)
        if owner is None:
            _bring_centre(opening.data, wanted, url)
            # Who is new since has records where they were made before.
            rows += run_with_store(replace(opening, topology=None, database_url=url), work)
    listing(rows, as_json=as_json, columns=MOVED)


def _without_files(data: Path, url: str, owner: str) -> None:
    with messages():
        if not asyncio.run(files_are_lost(data, url, owner)):
            raise click.ClickException(f"there is no owner {owner!r}")


def _bring_centre(data: Path, to: Topology, url: str | None) -> None:
    """Central store and catalogue follow the records, and the configuration says so."""
    if url is None:
        fix_topology(data, to)
        return
    with messages():
        asyncio.run(move_centre(data, to, url, without_password(url)))
        fix_topology(data, to, url)
        asyncio.run(remove_old_centre(data, to, url))
    fix_topology(data, to, None if to.is_files else url)


def _database_url(opening: Opening) -> str | None:
    """Where the database is: as it was told, or as it is written down; the two must not name different ones."""
    known: str | None = configured(opening.data / CONFIGURATION).get("database_url")
    if opening.database_url and known and without_password(opening.database_url) != known:
        raise click.ClickException(
            f"{opening.data} has a database already, {known}: if only its address is another now, write that into"
            f" {opening.data / CONFIGURATION}; to go to another database, go back to `--to single` first"
        )
    return opening.database_url or known


async def _migrated(
    store: RecordStore, subject: str | None, to: Topology, url: str | None, advance: Callable[[int], None]
) -> AsyncIterator[dict[str, Any]]:
    owners = await _owners(store, subject)
    if url is not None:
        async with AsyncExitStack() as moving:
            if to.is_files:
                await moving.enter_async_context(alone(store.locks, store.blobs.staging.host))
            moves = await moving.enter_async_context(database_moves(store, url))
            for owner in owners:
                move = moves.out if to.is_files else moves.into
                async for switched in move(owner, lambda _, rows: advance(rows)):
                    yield _row(owner, switched)
    if to.is_files:
        for owner in owners:
            async for switched in _moves(store).move(owner, to, lambda _, rows: advance(rows)):
                yield _row(owner, switched)


async def _shown(store: RecordStore, owner: Owner, down: list[tuple[str, SourceDown]]) -> list[dict[str, Any]]:
    if isinstance(store.engines, EitherEngines) and not await store.engines.in_files(owner.id):
        counts: Counter[str] = Counter()
        for place, of in (await (await store.engines.of(owner.id)).stats()).items():
            counts[place.connector] += of.records
        return [
            _place(owner, connector, Topology.POSTGRES, count, False) for connector, count in sorted(counts.items())
        ]
    places = await _moves(store).places(owner)
    down += [(owner.subject, each.down) for each in places if each.down is not None]
    return [_place(owner, each.connector, each.topology, each.records, each.moving) for each in places]


def _place(owner: Owner, connector: str, there: Topology, records: int | None, moving: bool) -> dict[str, Any]:
    values = (owner.subject, connector, str(there), records, moving)
    return dict(zip(SHOWN, values, strict=True))


def _row(owner: Owner, switched: Switched) -> dict[str, Any]:
    return {
        "owner": owner.subject,
        "connector": switched.connector,
        "streams": len(switched.checked),
        "records": sum(of.records for of in switched.checked.values()),
        "paused_ms": round(switched.paused * 1000),
        "digests": {f"{place.instance}/{place.stream}": of.digest for place, of in switched.checked.items()},
    }


async def _owners(store: RecordStore, subject: str | None) -> list[Owner]:
    owners = [each for each in await store.central.owners() if subject in (None, each.subject)]
    if subject is not None and not owners:
        raise click.ClickException(f"there is no owner {subject!r}")
    return owners


def _moves(store: RecordStore) -> Moves:
    if store.moves is None:
        raise click.ClickException("there are no records on a disk to be moved")
    return store.moves
