"""`blobstore restore`: a data directory made of a snapshot."""

import asyncio
import json
from functools import partial
from pathlib import Path

import click

from blobstore.errors import BlobError
from records.errors import RecordError
from records.layout import CONFIGURATION
from records.snapshots import restore as snapshots
from records.snapshots.settling import Restored
from tools import database
from tools.configuration import configured, own_secret, readdress
from tools.output import json_option, size
from tools.progress import byte_bar


@click.command()
@click.argument("backup", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The data directory to make.")
@click.option(
    "--database-url",
    envvar="BLOBSTORE_DATABASE_URL",
    callback=database.read_option,
    help="An empty database, for a snapshot of the topology postgres.",
)
@click.option("--ledger", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The erasure ledger.")
@click.option("--without-ledger", is_flag=True, help="Bring back what was erased since; only if the ledger is lost.")
@click.option("--snapshot", type=click.IntRange(1), help="Which one; the newest unless told.")
@click.option("--check", is_flag=True, help="Only verify the snapshot and every byte that it needs.")
@json_option
def restore(
    backup: Path,
    data: Path | None,
    ledger: Path | None,
    without_ledger: bool,
    snapshot: int | None,
    check: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Make a data directory of a snapshot in BACKUP. DIR must be empty or not there; so must the database be that a
    snapshot of the topology postgres goes into. The directory then knows it as its own.

    Everything is verified before anything is written, and nothing of DIR can be opened before all of it is right: where
    a restore was cut off, run it again. What the erasure ledger names, and the snapshot does not know as erased, is
    erased again. Without --ledger it is looked for where the snapshot's configuration says.
    """
    if (data is None) is not check:
        raise click.UsageError("give --data DIR, or --check")
    if ledger is not None and without_ledger:
        raise click.UsageError("--ledger or --without-ledger")
    try:
        kept = _configured_ledger(backup, snapshot)
        if ledger is None and not without_ledger and data is not None:
            ledger = _require(kept)
        with byte_bar("verifying and copying") as advance:
            if data is None:
                _show(Restored(snapshots.check(backup, snapshot, advance)), "verified", as_json)
            else:
                work = snapshots.restore(
                    backup,
                    data,
                    ledger=ledger,
                    keep_ledger_in=kept,
                    number=snapshot,
                    progress=advance,
                    database_url=database_url,
                    configure=partial(_configure, database_url),
                )
                restored = asyncio.run(work)
                _show(restored, "restored", as_json)
    except (BlobError, RecordError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _configure(database_url: str | None, made: Path) -> None:
    readdress(made, database_url)
    own_secret(made)


def _configured_ledger(backup: Path, snapshot: int | None) -> Path | None:
    """Where the store kept its ledger, if not in its directory."""
    found = configured(snapshots.chosen(backup, snapshot) / CONFIGURATION).get("ledger")
    return None if found is None else Path(found)


def _require(kept: Path | None) -> Path:
    if kept is None or not kept.exists():
        raise click.UsageError(
            "give --ledger FILE: erasures.ledger of the directory that is restored (not that of a copy which is older);"
            " or, where it is lost, --without-ledger: then all comes back that was erased since the snapshot was made"
        )
    return kept


def _show(restored: Restored, done: str, as_json: bool) -> None:
    found = restored.manifest
    if as_json:
        facts = {"state": done, "snapshot": found.snapshot, "made_at": found.made_at}
        facts |= {"blobs": found.blobs, "bytes": found.blob_bytes, "missing": found.missing, "erased": restored.erased}
        click.echo(json.dumps([facts], indent=2))
        return
    click.echo(
        f"{done}: snapshot {found.snapshot} of {found.made_at}, {found.blobs:,} blobs ({size(found.blob_bytes)})"
    )
    if restored.erased:
        click.echo(f"{restored.erased:,} erasures were carried out again")
    if found.missing:
        click.echo(f"{found.missing:,} blobs were lost before the backup was made; doctor names them", err=True)
