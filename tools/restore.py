"""`blobstore restore`: a data directory made of a snapshot."""

import asyncio
import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from blobstore.backends.where import FILE, Where
from blobstore.errors import BlobError
from records.erasure.ledger import NAME
from records.erasure.ledgers.fetched import fetch
from records.errors import RecordError
from records.layout import CONFIGURATION
from records.snapshots import restore as snapshots
from records.snapshots.settling import Restored
from tools import database
from tools.configuration import configured, fix_blobs, own_secret, readdress
from tools.output import json_option, size
from tools.progress import byte_bar
from tools.where import Reached, location_of, reach_options, read_location


@click.command()
@click.argument("backup", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The data directory to make.")
@click.option(
    "--database-url",
    envvar="BLOBSTORE_DATABASE_URL",
    callback=database.read_option,
    help="An empty database, for a snapshot of the topology postgres.",
)
@click.option(
    "--blobs",
    envvar="BLOBSTORE_BLOBS",
    metavar="file|s3://BUCKET/PREFIX",
    callback=read_location,
    help="Where the bytes go; needed where those of the snapshot were in S3.",
)
@reach_options
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
    blobs: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a data directory of a snapshot in BACKUP. DIR must be empty or not there; so must the database be that a
    snapshot of the topology postgres goes into. The directory then knows it as its own. A place in S3 must be empty, or
    this very store's, whose servers must run no more.

    Everything is verified before anything is written, and nothing of DIR can be opened before all of it is right: where
    a restore was cut off, run it again. What the erasure ledger names, and the snapshot does not know as erased, is
    erased again. Without --ledger it is looked for where the snapshot's configuration says, or in
    the bucket of its blobs.
    """
    if (data is None) is not check:
        raise click.UsageError("give --data DIR, or --check")
    if ledger is not None and without_ledger:
        raise click.UsageError("--ledger or --without-ledger")
    try:
        kept = _configured_ledger(backup, snapshot)
        with TemporaryDirectory(prefix="ledger-") as fetched, byte_bar("verifying and copying") as advance:
            if ledger is None and not without_ledger and data is not None:
                ledger = kept if kept and kept.exists() else _fetched(backup, snapshot, Path(fetched) / NAME)
            if data is None:
                _show(Restored(snapshots.check(backup, snapshot, advance)), "verified", as_json)
            else:
                where = _where(backup, snapshot, blobs, Reached.taken(options))
                work = snapshots.restore(
                    backup,
                    data,
                    ledger=ledger,
                    keep_ledger_in=kept,
                    number=snapshot,
                    progress=advance,
                    database_url=database_url,
                    where=where,
                    configure=partial(_configure, database_url, where),
                )
                restored = asyncio.run(work)
                _show(restored, "restored", as_json)
    except (BlobError, RecordError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _configure(database_url: str | None, where: Where, made: Path) -> None:
    readdress(made, database_url)
    fix_blobs(made, where)
    own_secret(made)


def _where(backup: Path, snapshot: int | None, blobs: str | None, reached: Reached) -> Where:
    """Where the bytes go. Into S3 only where that is told: a copy must not share a bucket with what it is a copy of."""
    known = configured(snapshots.chosen(backup, snapshot) / CONFIGURATION)
    if blobs is None and (there := location_of(known)) != FILE:
        raise click.UsageError(
            f"the blobs of this snapshot were in {there}: say with --blobs where they go, `file` or a place in S3 that"
            " no server uses; the same again only where the store that used it is no more"
        )
    return reached.or_else(Reached.known(known)).at(blobs or FILE)


def _configured_ledger(backup: Path, snapshot: int | None) -> Path | None:
    """Where the store kept its ledger, if not in its directory."""
    found = configured(snapshots.chosen(backup, snapshot) / CONFIGURATION).get("ledger")
    return None if found is None else Path(found)


def _fetched(backup: Path, snapshot: int | None, path: Path) -> Path:
    """The ledger out of the bucket that had the snapshot's blobs."""
    known = configured(snapshots.chosen(backup, snapshot) / CONFIGURATION)
    if (there := location_of(known)) == FILE:
        raise click.UsageError(
            "give --ledger FILE: erasures.ledger of the directory that is restored (not that of a copy which is older);"
            " or, where it is lost, --without-ledger: then all comes back that was erased since the snapshot was made"
        )
    asyncio.run(fetch(Reached.known(known).at(there), path))
    return path


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
