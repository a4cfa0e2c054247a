"""`blobstore gc`: collect what nobody holds any more."""

import json
from dataclasses import asdict

import click

from blobstore.gc import Collected, Plan
from records.store import RecordStore
from records.times import duration
from tools.opening import Opening, run_with_store, store_options
from tools.output import size


@click.command()
@store_options
@click.option("--grace", default="24h", show_default=True, help="Spare what became an orphan more recently.")
@click.option("--dry-run", is_flag=True, help="Show what would go, remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects for programs.")
def gc(opening: Opening, grace: str, dry_run: bool, as_json: bool) -> None:
    """Collect orphaned blobs and debris; safe while servers run."""
    seconds = 0.0 if grace == "0" else _seconds(grace)
    if dry_run:
        _show_plan(run_with_store(opening, lambda store: _plan(store, seconds)), as_json)
        return
    collected = run_with_store(opening, lambda store: store.collect(seconds))
    _show_collected(collected, as_json)


async def _plan(store: RecordStore, seconds: float) -> Plan:
    await store.collector.prepare()
    return await store.collector.plan(seconds)


def _seconds(text: str) -> float:
    try:
        return duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter("a number and one of s, m, h, d, w", param_hint="--grace") from error


def _show_plan(plan: Plan, as_json: bool) -> None:
    orphans = [
        {"what": "orphan", "blob_id": str(each.stored.name.digest), "bytes": each.stored.size} for each in plan.orphans
    ]
    condemned = [
        {"what": "condemned", "blob_id": str(each.name.digest), "bytes": each.size, "reason": each.reason}
        for each in plan.condemned
    ]
    debris = [{"what": "debris", "lease": each.lease, "bytes": each.size} for each in plan.debris]
    rows = [*orphans, *condemned, *debris]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['what']}: {row.get('blob_id') or row.get('lease')} ({size(int(str(row['bytes'])))})")
    click.echo(f"would free {size(plan.bytes)} in the next tick")


def _show_collected(collected: Collected, as_json: bool) -> None:
    if as_json:
        facts = asdict(collected)
        facts["digests"] = sorted(str(digest) for digest in collected.digests)
        click.echo(json.dumps([facts], indent=2))
        return
    click.echo(f"collected {collected.blobs} blobs ({size(collected.bytes)}) and {collected.debris} staging files")
