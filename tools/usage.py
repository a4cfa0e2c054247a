"""`blobstore usage`: who keeps how much, and what deduplication saves."""

from dataclasses import asdict

import click

from records.errors import SourceDown
from records.store import RecordStore
from records.usage import Row, usage_of
from tools.down import tell_down
from tools.looking import run_looking
from tools.opening import Opening, store_options
from tools.output import json_option, listing

COLUMNS = (
    *("owner", "connector", "stream", "records", "record_bytes", "blobs", "blob_bytes", "saved_bytes"),
    *("orphans", "orphan_bytes", "reserved_bytes", "quota_bytes"),
)


@click.command()
@store_options
@json_option
def usage(opening: Opening, as_json: bool) -> None:
    """Records, blobs, bytes saved by deduplication and orphans, per owner, connector and stream.

    Exit code 1: there are owners some of whose records cannot be read; they are named, and left out.
    """
    down: list[tuple[str, SourceDown]] = []
    rows = run_looking(opening, lambda store: _rows(store, down))
    listing([asdict(row) for row in rows], as_json=as_json, columns=COLUMNS)
    tell_down(down)


async def _rows(store: RecordStore, down: list[tuple[str, SourceDown]]) -> list[Row]:
    rows: list[Row] = []
    for owner in await store.central.owners():
        try:
            rows += await usage_of(store, owner)
        except SourceDown as error:
            down.append((owner.subject, error))
    return rows
