"""What a command says at its end of records that it could not read, when all else is printed."""

from collections.abc import Collection

import click

from records.errors import SourceDown

INCOMPLETE = 1


def tell_down(owners: Collection[tuple[str, SourceDown]]) -> None:
    """Name what is missing, for each owner that misses something; exit code 1 where anything is."""
    for subject, error in owners:
        click.echo(f"of {subject}: {error}; `blobstore doctor` tells why", err=True)
    if owners:
        raise click.exceptions.Exit(INCOMPLETE)
