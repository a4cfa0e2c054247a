"""`blobstore usage`: who keeps how much, and what deduplication saves."""

from dataclasses import asdict

import click

from records.store import RecordStore
from records.usage import Row, usage_of
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
    """Records, blobs, bytes saved by deduplication and orphans, per owner, connector and stream."""
    rows = run_looking(opening, _rows)
    listing([asdict(row) for row in rows], as_json=as_json, columns=COLUMNS)


async def _rows(store: RecordStore) -> list[Row]:
    return [row for owner in await store.central.owners() for row in await usage_of(store, owner)]
