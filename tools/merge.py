"""`blobstore merge`: joins what two directories hold of the same owners."""

from dataclasses import replace
from pathlib import Path

import click

from records.errors import Conflict
from records.layout import CONFIGURATION
from records.merging.merge import Merging, Rules
from records.merging.report import Merged
from records.merging.rule import Fate
from records.store import RecordStore
from tools.configuration import configured
from tools.looking import look_into
from tools.opening import FLOOR, Opening, run_with_store, store_options
from tools.output import json_option, listing

COLUMNS = (
    *("owner", "connector", "instance", "stream", "records", "tombstones"),
    *("added", "updated", "unchanged", "deleted", "kept", "erased", "skipped", "refused"),
)


@click.command()
@store_options
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The other data directory. It stays as it is; nobody should write to it meanwhile.",
)
@click.option("--from-database-url", envvar="BLOBSTORE_FROM_DATABASE_URL", help="Its database, where it has one.")
@click.option("--owner", help="Only this owner; all that are there unless told.")
@click.option(
    "--on-conflict",
    type=click.Choice(["newer", "fail"]),
    default="newer",
    show_default=True,
    help="Where both have a record and differ: what was collected later stays, or nothing is merged.",
)
@click.option("--dry-run", is_flag=True, help="Show what would become of every record, write nothing.")
@json_option
def merge(
    opening: Opening,
    source: Path,
    from_database_url: str | None,
    owner: str | None,
    on_conflict: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take what another data directory holds into this one, and print what became of every record.

    A merge that was cut off is done again, and goes on. Exit code 1: something was refused.
    """
    if source.resolve() == opening.data.resolve():
        raise click.UsageError("--from is the directory itself")
    rules = Rules(newer=on_conflict == "newer", dry=dry_run)

    async def work(store: RecordStore) -> list[Merged]:
        async with look_into(_other(source, from_database_url)) as there:
            merging = Merging(there, store, rules)
            chosen = [each for each in await merging.owners() if owner in (None, each.subject)]
            if not chosen:
                raise Conflict(f"there is nothing of {owner or 'anybody'} in {source}")
            return [await merging.merge(each) for each in chosen]

    found = run_with_store(opening, work, make=not dry_run)
    listing([row for each in found for row in each.rows()], as_json=as_json, columns=COLUMNS)
    for each in found:
        _tell(each)
    if any(each.refused for each in found):
        raise click.exceptions.Exit(1)


def _other(source: Path, database_url: str | None) -> Opening:
    """The other directory as its own configuration says."""
    known = configured(source / CONFIGURATION)
    opening = Opening(source, None, None, FLOOR, database_url=database_url or known.get("database_url"))
    ledger, secret = (Path(known[name]) if name in known else None for name in ("ledger", "secret_file"))
    return replace(opening, ledger=ledger, secret_file=secret)


def _tell(merged: Merged) -> None:
    states = ", ".join(f"{count} {fate.value}" for fate, count in sorted(merged.states.items())) or "none"
    click.echo(
        f"{merged.owner}: {merged.conflicts:,} records were in both and not the same; {merged.blobs:,} blobs were not"
        f" here yet, {merged.claims:,} wait for their records; sync states: {states}",
        err=True,
    )
    if merged.erased:
        out = sorted({each.place.connector for each in merged.streams if each.fates[Fate.ERASED]})
        click.echo(f"{merged.owner}: {merged.erased:,} stay out, for they were erased here: {', '.join(out)}", err=True)
    for each in merged.streams:
        for problem in each.problems:
            click.echo(f"refused in {each.place.connector}/{each.place.stream}: {problem}", err=True)
