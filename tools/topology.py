"""`blobstore topology`: where records live, and moving them while servers run."""

from collections.abc import Callable
from typing import Any

import click

from records.central import Owner
from records.layout import Topology
from records.moving.moves import Moves
from records.moving.switching import Switched
from records.store import RecordStore
from tools.opening import Opening, fix_topology, run_with_store, store_options
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
    """Show where the records of each connector live, and what is on its way."""

    async def work(store: RecordStore) -> list[dict[str, Any]]:
        return [
            {
                "owner": each.owner.subject,
                "connector": each.connector,
                "topology": str(each.topology),
                "records": each.records,
                "moving": each.moving,
            }
            for one in await _owners(store, owner)
            for each in await _moves(store).places(one)
        ]

    listing(run_with_store(opening, work), as_json=as_json, columns=SHOWN)


@topology.command()
@store_options
@click.option("--to", required=True, type=click.Choice(["single", "per-connector"]), help="Where they shall live.")
@click.option("--owner", help="Of this owner alone; the directory's topology stays as it is then.")
@json_option
def migrate(opening: Opening, to: str, owner: str | None, as_json: bool) -> None:
    """Move records to another topology, connector by connector, also while servers run.

    Nothing is served from a copy before it was held against what it was made of. Run it again if it was cut off: it
    goes on where it was. To go back, run it with the other topology.
    """
    with row_bar("records") as advance:

        async def work(store: RecordStore) -> list[dict[str, Any]]:
            return [row async for row in _migrated(store, owner, Topology(to), advance)]

        rows = run_with_store(opening, work)
    if owner is None:
        fix_topology(opening.data, Topology(to))
    listing(rows, as_json=as_json, columns=MOVED)


async def _migrated(store: RecordStore, subject: str | None, to: Topology, advance: Callable[[int], None]) -> Any:
    moves = _moves(store)
    for owner in await _owners(store, subject):
        async for switched in moves.move(owner, to, lambda _, rows: advance(rows)):
            yield _row(owner, switched)


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
        raise click.ClickException("records can be moved between the topologies single and per-connector only")
    return store.moves
