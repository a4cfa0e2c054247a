"""`blobstore blobs`: where bytes live, and moving them while servers run."""

import asyncio
import json
import math
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from blobstore.backends.where import FILE, IN_FILES, Where
from blobstore.catalogue import State
from blobstore.migration import Migration, Moved, take_in, try_place
from blobstore.place import Contents, Place
from records.layout import CONFIGURATION
from records.machines import alone
from records.store import RecordStore
from records.times import duration
from tools.configuration import configured, fix_blobs
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, listing, size
from tools.progress import byte_bar
from tools.sizes import SIZE
from tools.where import NOT_TOLD, Reached, read_location

SHOWN = ("place", "intake", "blobs", "bytes", "kept_blobs", "kept_bytes", "going_blobs", "quarantined_blobs")

Row = dict[str, Any]
"""`what` says which kind; the last row is the summary."""


@click.group()
def blobs() -> None:
    """Where bytes live: see it, and move them."""


@blobs.command()
@store_options
@json_option
def show(opening: Opening, as_json: bool) -> None:
    """Show which places have bytes, and which of them takes in what is new (the intake).

    `kept` are copies that a move left behind, for those who read them; `going` is what the next collection removes.
    """

    async def work(store: RecordStore) -> list[Row]:
        catalogue = store.blobs.catalogue
        contents = await catalogue.contents()
        return [_shown(place, contents) for place in await catalogue.places()]

    listing(run_with_store(opening, work), as_json=as_json, columns=SHOWN)


@blobs.command()
@store_options
@click.option(
    "--to", required=True, metavar="file|s3://BUCKET/PREFIX", callback=read_location, help="Where bytes shall live."
)
@click.option("--rate", type=SIZE, help="Copy at most so many bytes per second, over all. Default: as fast as it goes.")
@click.option("--keep", default="1h", show_default=True, help="Keep what is left behind so long, for its readers.")
@click.option("--delete-now", is_flag=True, help="Remove now what this and earlier moves left behind.")
@click.option("--plan", is_flag=True, help="Try the new place, show what would be copied, and change nothing.")
@json_option
def migrate(
    opening: Opening, to: str, rate: int | None, keep: str, delete_now: bool, plan: bool, as_json: bool
) -> None:
    """Move all bytes to another place, also while servers run; --s3-endpoint and the like say how that is reached.

    New uploads go there at once, through the servers that run too: each must be able to reach it (its keys, say) before
    this is run. Nothing is served from a copy before it was read back. Run it again if it was cut off: it goes on where
    it was. To go back, run it with the other place.

    Exit code 0: all of it is there; 1: some blobs could not be copied, or are in other places still: they are named.
    """
    told, opening = opening.reached, replace(opening, reached=NOT_TOLD)
    kept = 0.0 if delete_now else _seconds(keep)
    if rate == 0:
        raise click.BadParameter("at nothing per second it would never end", param_hint="--rate")

    async def work(store: RecordStore) -> list[Row]:
        where = await _where(store, opening.data, to, told)
        if plan:
            return await _planned(store, opening, where)
        async with AsyncExitStack() as taking:
            if to == FILE:
                await taking.enter_async_context(alone(store.locks, store.blobs.staging.host))
            place = await take_in(store.blobs, opening.data, where)
        fix_blobs(opening.data, where)
        await store.ledger.follow()
        elsewhere = sum(each.bytes for each in await _elsewhere(store, place.id))
        with byte_bar("blobs", elsewhere) as copied:
            moved = await Migration(store.blobs, place, rate=rate or math.inf, keep=kept, told=copied).run()
        return [*_bad(moved), await _summary(store, place, moved, delete_now=delete_now)]

    rows = run_with_store(opening, work)
    click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(map(_text, rows)))
    if any(row["what"] == "bad" or row.get("left") for row in rows):
        raise click.exceptions.Exit(1)


async def _where(store: RecordStore, data: Path, to: str, told: Reached) -> Where:
    """The new place: reached as is told, else as when it was used before, else as the one that has the bytes now."""
    if to == FILE:
        return IN_FILES
    known = Reached.known(configured(data / CONFIGURATION))
    for place in await store.blobs.catalogue.places():
        if place.location == to:
            known = Reached.of(Where.of(place.location, place.options))
    return told.or_else(known).at(to)


async def _planned(store: RecordStore, opening: Opening, where: Where) -> list[Row]:
    catalogue = store.blobs.catalogue
    store_id, places = await catalogue.store_id(), await catalogue.places()
    known = {place.location: place.id for place in places}
    tried = await asyncio.to_thread(try_place, where, opening.data, store_id, places)
    lacks = list(tried.lacks)
    await asyncio.to_thread(tried.close)
    going = await _elsewhere(store, known.get(where.location, -1))
    return [
        {
            "what": "plan",
            "to": where.location,
            "blobs": sum(each.blobs for each in going),
            "bytes": sum(each.bytes for each in going),
            "lacks": lacks,
        }
    ]


async def _elsewhere(store: RecordStore, place: int) -> list[Contents]:
    contents = await store.blobs.catalogue.contents()
    return [each for each in contents if each.place != place and each.state == State.LIVE]


def _bad(moved: Moved) -> Iterable[Row]:
    for each in moved.bad:
        name = each.stored.name
        yield {"what": "bad", "blob_id": str(name.digest), "owner_id": name.namespace, "verdict": str(each.verdict)}


async def _summary(store: RecordStore, place: Place, moved: Moved, *, delete_now: bool) -> Row:
    catalogue = store.blobs.catalogue
    if delete_now:
        await catalogue.shorten(time.time())
        await store.blobs.require_own()
        await store.collector.prepare()
        await store.collector.remove_condemned()
    behind = [each for each in await catalogue.contents() if each.place != place.id]
    return {
        "what": "summary",
        "to": place.location,
        "blobs": moved.blobs,
        "bytes": moved.bytes,
        "gone": moved.gone,
        "left": moved.left,
        "kept_blobs": sum(each.blobs for each in behind if each.kept),
        "kept_bytes": sum(each.bytes for each in behind if each.kept),
    }


def _shown(place: Place, contents: Iterable[Contents]) -> Row:
    mine = [each for each in contents if each.place == place.id]

    def of(state: State, kept: bool = False) -> tuple[int, int]:
        found = [each for each in mine if each.state == state and each.kept is kept]
        return sum(each.blobs for each in found), sum(each.bytes for each in found)

    live, kept = of(State.LIVE), of(State.CONDEMNED, kept=True)
    values = (*live, *kept, of(State.CONDEMNED)[0], of(State.QUARANTINED)[0])
    return dict(zip(SHOWN, (place.location, place.intake, *values), strict=True)) | {"options": dict(place.options)}


def _text(row: Row) -> str:
    match row["what"]:
        case "plan":
            lacks = "".join(f"\n  it lacks something: {lacking}" for lacking in row["lacks"])
            return f"{row['to']} can be used; {row['blobs']} blobs ({size(row['bytes'])}) would be copied there{lacks}"
        case "bad":
            return f"not copied: {row['blob_id']} of {row['owner_id']}: {row['verdict']}"
    moved = f"{row['blobs']} blobs ({size(row['bytes'])}) were moved to {row['to']}"
    if row["left"]:
        return f"{moved}; {row['left']} could not be read, or are being uploaded, and are elsewhere still: run it again"
    behind = "nothing is left elsewhere"
    if row["kept_blobs"]:
        behind = (
            f"elsewhere are copies of {row['kept_blobs']} blobs ({size(row['kept_bytes'])}) for those who read them"
        )
        behind += "; a collection removes them when their time is over"
    return f"{moved}; {behind}"


def _seconds(text: str) -> float:
    try:
        return 0.0 if text == "0" else duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--keep") from error
