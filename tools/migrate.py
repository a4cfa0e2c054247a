"""`blobstore migrate`: schema versions of all database files and schemas, and bringing them to the latest."""

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from blobstore.sqlite.outside import State
from records.versions import FileVersion, migrate, versions
from tools.directory import require_store
from tools.opening import Opening, messages, store_options
from tools.output import json_option, listing

COLUMNS = ("file", "kind", "version", "latest", "state")

_FINE = (State.CURRENT, State.AHEAD, State.MOVED)


@click.command(name="migrate")
@store_options
@click.option("--status", is_flag=True, help="Show the versions; change nothing.")
@json_option
def migrate_command(opening: Opening, status: bool, as_json: bool) -> None:
    """Bring every database file, and every schema of the database, to this program's schema version.

    Servers may run. They do so by themselves, in the background: this is for who wants it done now, or wants to see.
    Exit code 1: some cannot be brought there (its state says why); with --status: some cannot be used.
    """
    require_store(opening.data)
    with messages():
        found = list((versions if status else migrate)(opening.data))
        if opening.database_url is not None:
            found += asyncio.run(_schemas(opening.database_url, finish=not status))
    listing([_row(each) for each in found], as_json=as_json, columns=COLUMNS)
    if any(each.standing.state not in (*_FINE, *((State.BEHIND,) if status else ())) for each in found):
        raise click.exceptions.Exit(1)


async def _schemas(url: str, *, finish: bool) -> list[FileVersion]:
    from records.schemas import schema_versions  # here, for the other topologies run without a driver

    return [each async for each in schema_versions(url, finish=finish)]


def _row(each: FileVersion) -> Mapping[str, Any]:
    standing = each.standing
    return {
        "file": each.file,
        "kind": each.kind,
        "version": standing.version,
        "latest": standing.latest,
        "state": str(standing.state),
    }
