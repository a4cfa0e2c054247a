"""`blobstore backup`: a consistent copy of everything, made while servers run."""

import json
from pathlib import Path

import click

from records.snapshots.backup import Made, back_up
from tools.looking import run_looking
from tools.opening import Opening, store_options
from tools.output import json_option, size
from tools.progress import byte_bar

INCOMPLETE = 1


@click.command()
@store_options
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--keep", type=click.IntRange(1), help="Drop older snapshots than the newest so many.")
@json_option
def backup(opening: Opening, out: Path, keep: int | None, as_json: bool) -> None:
    """Add a snapshot of DIR to the backup in OUT, made if need be. Only blobs that OUT does not have are copied.

    Exit code 1: it failed, and OUT has the snapshots that it had; or blobs are lost in DIR itself: the snapshot is
    good, without them.
    """
    with byte_bar("copying") as advance:
        made = run_looking(opening, lambda store: back_up(store, out, keep=keep, progress=advance))
    _show(made, as_json)
    if made.manifest.missing:
        raise click.exceptions.Exit(INCOMPLETE)


def _show(made: Made, as_json: bool) -> None:
    found = made.manifest
    if as_json:
        facts = {
            "snapshot": found.snapshot,
            "made_at": found.made_at,
            "blobs": found.blobs,
            "bytes": found.blob_bytes,
            "copied_blobs": made.copied_blobs,
            "copied_bytes": made.copied_bytes,
            "missing": found.missing,
            "dropped_snapshots": list(made.dropped),
        }
        click.echo(json.dumps([facts], indent=2))
        return
    click.echo(
        f"snapshot {found.snapshot}: {found.blobs:,} blobs ({size(found.blob_bytes)}), of which {made.copied_blobs:,}"
        f" ({size(made.copied_bytes)}) are new"
    )
    if made.dropped:
        click.echo(f"dropped snapshots: {', '.join(map(str, made.dropped))}")
    if found.missing:
        click.echo(f"{found.missing:,} blobs are lost in DIR itself; `blobstore doctor --deep` names them", err=True)
