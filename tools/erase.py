"""`blobstore erase`: erase a connector, an instance, a stream or a record of an owner."""

import json
from dataclasses import asdict

import click

from records.central import Owner
from records.erasure import Report
from records.errors import Unknown
from records.scope import Scope, Selector
from records.store import RecordStore
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, size

WAIT = 30.0
"""Seconds to wait for readers whose snapshots keep erased rows in a log."""


@click.command()
@store_options
@click.option("--owner", required=True)
@click.option("--connector", required=True, help="The connector, by id or key.")
@click.option("--instance", help="One account of it.")
@click.option("--stream", help="One stream; a --key narrows to one record.")
@click.option("--key", help="One record's key.")
@json_option
def erase(
    opening: Opening,
    owner: str,
    connector: str,
    instance: str | None,
    stream: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Erase, wait until nothing is left, and print the report. Exit code 3: it goes on in the background."""
    if key is not None and stream is None:
        raise click.UsageError("--key needs --stream")

    async def work(store: RecordStore) -> Report:
        target = await _known_owner(store, owner)
        if stream is not None:
            return await store.erasures.records(target, Selector(connector, instance), stream, key, wait=WAIT)
        if instance is not None:
            registration = await store.registry.connector(Scope.of_owner(target), connector)
            await store.registry.existing(target, registration.key, instance)
            return await store.erasures.instance(target, instance, wait=WAIT)
        return await store.erasures.connector(target, connector, wait=WAIT)

    report = run_with_store(opening, work)
    _show(report, as_json)
    if report.state != "done":
        raise click.exceptions.Exit(3)


async def _known_owner(store: RecordStore, subject: str) -> Owner:
    for owner in await store.central.owners():
        if owner.subject == subject:
            return owner
    raise Unknown(f"no owner {subject!r}")


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(report)], indent=2))
        return
    click.echo(
        f"{report.state}: {report.records:,} records of {report.streams} streams and {report.blobs:,} blobs"
        f" ({size(report.bytes)}) erased from {report.connector}; erasure {report.id}"
    )
    if report.state != "done":
        click.echo("a reader still sees the erased rows; a running server, or `blobstore gc`, finishes this", err=True)
