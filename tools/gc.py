"""`blobstore gc`: collect what nobody holds any more."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import click

from blobstore.catalogue import Condemned
from blobstore.checks import BlobChecks
from blobstore.errors import FuseBlown
from blobstore.findings import confirmed
from blobstore.fuse import MAX_SHARE, Fuse
from blobstore.gc import BATCH, Wanted
from blobstore.place import MOVED
from records.holdings import Holdings
from records.store import RecordStore
from records.times import duration
from tools.json_array import JsonArray
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, size
from tools.sizes import Finite

STOPPED = 3

COUNTED = ("blobs", "bytes", "debris", "copies", "expired", "foreign")

Row = dict[str, Any]
"""`what` says which kind; the last row is the summary."""


@click.command()
@store_options
@click.option(
    "--grace", default="24h", show_default=True, help="Spare what became an orphan more recently; 0: spare nothing."
)
@click.option("--dry-run", is_flag=True, help="Show all that would go, and foreign files; remove nothing.")
@click.option("--foreign", is_flag=True, help="Show foreign files too: every file is looked at.")
@click.option(
    "--max-share",
    type=Finite(0, 1),
    default=MAX_SHARE,
    show_default=True,
    help="Stop where more than this share of all stored bytes would go; 1 never stops.",
)
@json_option
def gc(opening: Opening, grace: str, dry_run: bool, foreign: bool, max_share: float, as_json: bool) -> None:
    """Collect orphaned blobs and debris; safe while servers run.

    Exit code 0: all that is garbage is gone, or would go; 1: the store cannot be collected, say because a part of it
    does not answer; 3: suspiciously much would go, nothing was removed.
    """
    wanted = Wanted(_seconds(grace), fuse=Fuse(max_share))
    array = JsonArray() if as_json else None

    async def work(store: RecordStore) -> bool:
        rows = _planned(store, wanted) if dry_run else _collected(store, wanted, foreign=foreign, show=show)
        stopped = False
        async for row in rows:
            show(row)
            stopped |= row.get("stopped") is not None
        return stopped

    def show(row: Mapping[str, Any]) -> None:
        if array is None:
            click.echo(_text(row))
        else:
            array.add(row)

    try:
        stopped = run_with_store(opening, work)
    finally:
        if array is not None:
            array.close()
    if stopped:
        raise click.exceptions.Exit(STOPPED)


async def _planned(store: RecordStore, wanted: Wanted) -> AsyncIterator[Row]:
    """All that would go, in the order in which it would; foreign files; the sum."""
    await store.blobs.require_own()
    await store.collector.prepare()
    catalogue = store.blobs.catalogue
    summary: Row = {"what": "summary", "dry_run": True, "blobs": 0, "bytes": 0, "debris": 0, "copies": 0, "foreign": 0}
    after = None
    while condemned := await catalogue.condemned(BATCH, after):
        for each in condemned:
            if each.reason == MOVED:
                summary["copies"] += 1
                continue
            summary = _more(summary, each.size)
            yield _blob("condemned", each)
        after = condemned[-1]
    async for plan in store.collector.plans(wanted):
        for orphan in plan.orphans:
            summary = _more(summary, orphan.stored.size)
            yield {"what": "orphan", "blob_id": str(orphan.stored.name.digest), "bytes": orphan.stored.size}
    async for debris in store.collector.debris():
        summary["debris"] += 1
        yield {"what": "debris", "lease": debris.lease, "bytes": debris.size}
    async for row in _foreign(store, remove=False):
        summary["foreign"] += 1
        yield row
    yield summary | {"stopped": await _stopped(store, wanted)}


async def _collected(store: RecordStore, wanted: Wanted, *, foreign: bool, show: Any) -> AsyncIterator[Row]:
    """What went is shown as it goes; then foreign files, of the staging folder or everywhere; the sum."""

    def told(gone: Sequence[Condemned]) -> None:
        for each in gone:
            show(_blob("removed", each))

    summary: Row = {"what": "summary", "dry_run": False, "collection": None, "stopped": None}
    try:
        collected = await store.collections.run(wanted, told)
    except FuseBlown as error:
        yield summary | dict.fromkeys(COUNTED, 0) | {"stopped": str(error)}
        return
    count = 0
    async for row in _foreign(store, remove=True) if foreign else _foreign_staged(store):
        count += 1
        yield row
    yield summary | {
        "collection": collected.id,
        "blobs": collected.blobs,
        "bytes": collected.bytes,
        "debris": collected.debris,
        "copies": collected.copies,
        "expired": collected.expired,
        "foreign": count,
    }


async def _stopped(store: RecordStore, wanted: Wanted) -> str | None:
    try:
        await store.collector.check_fuse(wanted)
    except FuseBlown as error:
        return str(error)
    return None


async def _foreign(store: RecordStore, *, remove: bool) -> AsyncIterator[Row]:
    """Everything among staged files and blobs that is not ours, or that no catalogue's row explains.

    `remove`: what came after its removal is removed again, nothing else.
    """

    async def namespaces() -> list[str]:
        return [owner.id for owner in await store.central.owners()]

    async for row in _foreign_staged(store):
        yield row
    checks = BlobChecks(
        store.blobs, Holdings(store.central, store.engines, store.blobs.catalogue), namespaces, store.topology.catalogue
    )
    async for finding, _ in confirmed(checks.objects()):
        if remove and finding.mend is not None:
            await finding.mend()
        yield {"what": "foreign", "kind": finding.kind, "subject": finding.subject, "message": finding.message}


async def _foreign_staged(store: RecordStore) -> AsyncIterator[Row]:
    for where, length in store.blobs.staging.foreign():
        message = f"{length} bytes, not made by this program; it is never touched"
        yield {"what": "foreign", "kind": "foreign_file", "subject": f"staging/{where}", "message": message}


def _more(summary: Row, length: int) -> Row:
    return summary | {"blobs": summary["blobs"] + 1, "bytes": summary["bytes"] + length}


_NONE = ("0", "0s", "0m", "0h", "0d", "0w")


def _blob(what: str, each: Condemned) -> Row:
    return {"what": what, "blob_id": str(each.name.digest), "bytes": each.size, "reason": each.reason}


def _seconds(text: str) -> float:
    if text in _NONE:
        return 0.0
    try:
        return duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter("a number and one of s, m, h, d, w; or 0", param_hint="--grace") from error


def _text(row: Mapping[str, Any]) -> str:
    match row["what"]:
        case "summary":
            if row["stopped"] is not None and not row["dry_run"]:
                return f"stopped: {row['stopped']}"
            begun = "would collect" if row["dry_run"] else "collected"
            lines = [f"{begun} {row['blobs']} blobs ({size(row['bytes'])}) and {row['debris']} staging files"]
            lines += [] if row["dry_run"] else [f"this was collection {row['collection']}"]
            lines += [f"would be stopped: {row['stopped']}"] if row["stopped"] is not None else []
            return "\n".join(lines)
        case "foreign":
            return f"foreign: {row['subject']}: {row['message']}"
        case what:
            return f"{what}: {row.get('blob_id') or row['lease']} ({size(row['bytes'])})"
