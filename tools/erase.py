"""`blobstore erase`: erase a record, a stream, an instance, a connector, or all of an owner."""

import json
import sys
from dataclasses import asdict

import click
import msgspec

from records.central import Owner
from records.consent.scope import Scope, Selector
from records.erasure.report import Covered, Erasure, Kept, Preview, Residue
from records.errors import Unknown
from records.store import RecordStore
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, size

WAIT = 30.0
"""Seconds to wait for readers whose snapshots keep erased rows in a log."""

UNFINISHED, UNCLEAN = 3, 4
"""Exit codes: it goes on in the background; it is done and left traces, or files could not be searched for them."""


@click.command()
@store_options
@click.option("--owner", required=True, help="Whose data; without a --connector all that is the owner's.")
@click.option("--connector", help="One connector, by id or key.")
@click.option("--instance", help="One account of it.")
@click.option("--stream", help="One stream; a --key narrows to one record.")
@click.option("--key", help="One record's key; of a compound key the JSON array.")
@click.option("--preview", "only_preview", is_flag=True, help="Show what would go and what would stay, erase nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before all of an owner is erased.")
@json_option
def erase(
    opening: Opening,
    owner: str,
    connector: str | None,
    instance: str | None,
    stream: str | None,
    key: str | None,
    only_preview: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase, wait until nothing is left, and print the receipt.

    Exit code 3: it goes on in the background; 4: it is done, and a file that is named still shows some of it.
    """
    if connector is None and (instance, stream, key) != (None, None, None):
        raise click.UsageError("--instance, --stream and --key need --connector")
    if key is not None and stream is None:
        raise click.UsageError("--key needs --stream")

    async def work(store: RecordStore) -> Preview | Erasure:
        target = await _known_owner(store, owner)
        goes = await _covered(store, target, connector, instance, stream, key)
        if only_preview:
            return await store.erasures.preview(target, goes)
        return await store.erasures.erase(target, goes, wait=WAIT)

    if connector is None and not (only_preview or yes) and sys.stdin.isatty():
        click.confirm(f"Erase all that {owner} has here, and every token and grant?", abort=True, err=True)
    found = run_with_store(opening, work)
    if isinstance(found, Preview):
        _show_preview(found, as_json)
        return
    _show(found, as_json)
    if found.receipt is None:
        raise click.exceptions.Exit(UNFINISHED)
    if not found.report.clean:
        raise click.exceptions.Exit(UNCLEAN)


async def _known_owner(store: RecordStore, subject: str) -> Owner:
    for owner in await store.central.owners():
        if owner.subject == subject:
            return owner
    raise Unknown(f"no owner {subject!r}")


async def _covered(
    store: RecordStore,
    owner: Owner,
    connector: str | None,
    instance: str | None,
    stream: str | None,
    key: str | None,
) -> Covered:
    erasures = store.erasures
    if connector is None:
        return await erasures.coverage.of_owner(owner)
    if stream is not None:
        return await erasures.coverage.of_records(owner, Selector(connector, instance), stream, key)
    if instance is not None:
        registration = await store.registry.connector(Scope.of_owner(owner), connector)
        await store.registry.existing(owner, registration.key, instance)
        return await erasures.coverage.of_instance(owner, instance)
    return await erasures.coverage.of_connector(owner, connector)


def _show_preview(preview: Preview, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(preview) | {"records": preview.records}], indent=2, ensure_ascii=False))
        return
    click.echo(f"would erase {preview.records:,} records and {preview.blobs:,} blobs ({size(preview.bytes)})")
    for each in preview.rows:
        click.echo(f"  {each.connector}/{each.stream}: {each.records:,} records")
    _show_kept(preview.kept)


def _show_kept(kept: Kept) -> None:
    if kept.blobs:
        click.echo(f"{kept.blobs:,} blobs ({size(kept.bytes)}) stay because they are shared")
    for each in kept.keepers:
        where = "/".join(name for name in (each.connector, each.instance, each.stream) if name is not None)
        click.echo(f"  with {where}: {each.blobs:,} blobs ({size(each.bytes)})")


def _show(done: Erasure, as_json: bool) -> None:
    report, receipt = done.report, done.receipt
    if as_json:
        members = asdict(report) | {"receipt": None if receipt is None else msgspec.json.decode(receipt)}
        click.echo(json.dumps([members], indent=2, ensure_ascii=False))
    else:
        what = "everything" if report.covered.connector is None else report.covered.connector
        click.echo(
            f"{report.state}: {report.records:,} records of {report.streams} streams and {report.blobs:,} blobs"
            f" ({size(report.bytes)}) erased from {what}; erasure {report.id}",
            err=True,
        )
        _show_residue(report.residue)
        if receipt is not None:
            click.echo(receipt)
    if receipt is None:
        click.echo("a reader still sees the erased rows; a running server, or `blobstore gc`, finishes this", err=True)


def _show_residue(of: Residue | None) -> None:
    """The operator's part of it: where a trace was found."""
    if of is None:
        return
    click.echo(
        f"{of.result}: {of.samples - of.shared:,} samples were looked for in {of.files:,} files ({size(of.bytes)})"
        f" and {of.named:,} blobs by their names; {of.shared:,} more stand in living data too",
        err=True,
    )
    for place in of.places:
        click.echo(f"  a trace in {place.path}, at byte {place.offset:,} ({place.kind})", err=True)
    if of.unread:
        click.echo(f"  {of.unread:,} files could not be read", err=True)
