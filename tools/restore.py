"""`blobstore restore`: a data directory made of a snapshot."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from records.snapshots import manifest
from records.snapshots import restore as snapshots
from records.snapshots.settling import Restored
from tools import database
from tools.configuration import configured, fix_blobs, own_secret, readdress
from tools.output import json_option, size
from tools.progress import byte_bar
from tools.where import Reached, reach_options, read_location


@dataclass(frozen=True, slots=True)
class _Before:
    """Where the store had its blobs when the snapshot was made, and its ledger, if that was told."""

    where: Where
    ledger: Path | None


def _read_ledger(_: click.Context, __: click.Parameter, value: str | None) -> Path | str | None:
    """A file that is there, or a place in S3 as it is written down. Raises `click.BadParameter`."""
    if value is not None and value.startswith("s3:"):
        try:
            return Where.parse(value).location
        except ValueError as error:
            raise click.BadParameter(f"{value!r}: {error}") from error
    if value is not None and not Path(value).is_file():
        raise click.BadParameter(f"there is no file {value}")
    return None if value is None else Path(value)


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
@click.option(
    "--ledger",
    metavar="FILE|s3://BUCKET/PREFIX",
    callback=_read_ledger,
    help="The erasure ledger; for one in S3 --s3-endpoint and the like say how it is reached, too.",
)
@click.option("--without-ledger", is_flag=True, help="Bring back what was erased since; only if the ledger is lost.")
@click.option("--snapshot", type=click.IntRange(1), help="Which one; the newest unless told.")
@click.option("--check", is_flag=True, help="Only verify the snapshot and every byte that it needs.")
@json_option
def restore(
    backup: Path,
    data: Path | None,
    ledger: Path | str | None,
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
    erased again. Without --ledger it is looked for where the snapshot's configuration says, or in the bucket of its
    blobs; where the ledger has left that, name the bucket that it is in now.
    """
    if (data is None) is not check:
        raise click.UsageError("give --data DIR, or --check")
    if ledger is not None and without_ledger:
        raise click.UsageError("--ledger or --without-ledger")
    told = Reached.taken(options)
    try:
        with byte_bar("verifying and copying") as advance:
            if data is None:
                _show(Restored(snapshots.check(backup, snapshot, advance)), "verified", as_json)
                return
            before = _before(backup, snapshot)
            if ledger is None and not without_ledger:
                ledger = _looked_for(before)
            where = _where(before, blobs, told)
            with _as_file(ledger, told.or_else(Reached.of(before.where))) as file:
                work = snapshots.restore(
                    backup,
                    data,
                    ledger=file,
                    keep_ledger_in=before.ledger,
                    number=snapshot,
                    progress=advance,
                    database_url=database_url,
                    where=where,
                    configure=partial(_configure, database_url, where),
                )
                _show(asyncio.run(work), "restored", as_json)
    except (BlobError, RecordError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _configure(database_url: str | None, where: Where, made: Path) -> None:
    readdress(made, database_url)
    fix_blobs(made, where)
    own_secret(made)


def _before(backup: Path, snapshot: int | None) -> _Before:
    folder = snapshots.chosen(backup, snapshot)
    ledger = configured(folder / CONFIGURATION).get("ledger")
    return _Before(manifest.read(folder)[0].where, None if ledger is None else Path(ledger))


def _where(before: _Before, blobs: str | None, told: Reached) -> Where:
    """Where the bytes go. Into S3 only where that is told: a copy must not share a bucket with what it is a copy of."""
    if blobs is None and not before.where.is_files:
        raise click.UsageError(
            f"the blobs of this snapshot were in {before.where.location}: say with --blobs where they go, `file` or a"
            " place in S3 that no server uses; the same again only where the store that used it is no more"
        )
    return told.or_else(Reached.of(before.where)).at(blobs or FILE)


def _looked_for(before: _Before) -> Path | str:
    """The ledger where nobody says which: the one that the store was told of, or that of the bucket which it had."""
    if before.ledger is None and not before.where.is_files:
        return before.where.location
    if before.ledger is None or not before.ledger.exists():
        which = "erasures.ledger of the directory that is restored" if before.ledger is None else str(before.ledger)
        raise click.UsageError(
            f"give --ledger: {which} (not that of a copy which is older), or s3://BUCKET/PREFIX if its blobs have moved"
            " there; or, where it is lost, --without-ledger: then all comes back that was erased since the snapshot"
            " was made"
        )
    return before.ledger


@contextmanager
def _as_file(ledger: Path | str | None, reached: Reached) -> Iterator[Path | None]:
    """The ledger as a file; one in S3 is fetched, for the length of the block."""
    if not isinstance(ledger, str):
        yield ledger
        return
    with TemporaryDirectory(prefix="ledger-") as folder:
        fetched = Path(folder) / NAME
        asyncio.run(fetch(reached.at(ledger), fetched))
        yield fetched


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
