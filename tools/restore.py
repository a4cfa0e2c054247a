"""`blobstore restore`: a data directory made of a snapshot."""

import asyncio
import json
from pathlib import Path

import click

from blobstore.errors import BlobError
from records.errors import RecordError
from records.snapshots import restore as snapshots
from tools.output import json_option, size
from tools.progress import byte_bar


@click.command()
@click.argument("backup", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The data directory to make.")
@click.option("--snapshot", type=click.IntRange(1), help="Which one; the newest unless told.")
@click.option("--check", is_flag=True, help="Only verify the snapshot and every byte that it needs.")
@json_option
def restore(backup: Path, data: Path | None, snapshot: int | None, check: bool, as_json: bool) -> None:
    """Make a data directory of a snapshot in BACKUP. DIR must be empty or not there.

    Everything is verified before anything is written, and nothing of DIR can be opened before all of it is right: where
    a restore was cut off, run it again.
    """
    if (data is None) is not check:
        raise click.UsageError("give --data DIR, or --check")
    try:
        with byte_bar("verifying and copying") as advance:
            if data is None:
                _show(snapshots.Restored(snapshots.check(backup, snapshot, advance)), "verified", as_json)
            else:
                restored = asyncio.run(snapshots.restore(backup, data, number=snapshot, progress=advance))
                _show(restored, "restored", as_json)
    except (BlobError, RecordError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _show(restored: snapshots.Restored, done: str, as_json: bool) -> None:
    found = restored.manifest
    if as_json:
        facts = {"state": done, "snapshot": found.snapshot, "made_at": found.made_at}
        facts |= {"blobs": found.blobs, "bytes": found.blob_bytes, "missing": found.missing}
        click.echo(json.dumps([facts], indent=2))
        return
    click.echo(
        f"{done}: snapshot {found.snapshot} of {found.made_at}, {found.blobs:,} blobs ({size(found.blob_bytes)})"
    )
    if found.missing:
        click.echo(f"{found.missing:,} blobs were lost before the backup was made; doctor names them", err=True)
