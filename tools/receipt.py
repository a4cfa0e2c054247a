"""`blobstore receipt`: what erasures gave, for who has to prove them."""

from pathlib import Path

import click

from records.erasure import receipts
from records.errors import Unknown
from records.signing import MAX_SIZE, NotGenuine
from records.store import RecordStore
from tools.looking import run_looking
from tools.opening import Opening, store_options
from tools.output import size


@click.group()
def receipt() -> None:
    """Signed receipts of erasures."""


@receipt.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", "public_key", help="The public key that must have signed it; `receipt key` prints a server's.")
def verify(file: Path, public_key: str | None) -> None:
    """Check FILE without any server, and say what it proves. Exit code 1: it is not genuine."""
    with file.open("rb") as source:
        text = source.read(MAX_SIZE + 1)
    try:
        found, signer = receipts.verify(text.strip(), public_key)
    except NotGenuine as error:
        raise click.ClickException(f"{file} is not genuine: {error}") from None
    erased, scope = found.erased, found.scope
    what = "/".join(name for name in (scope.connector_id, scope.stream, scope.record) if name is not None)
    click.echo(f"genuine: signed with {signer}")
    if public_key is None:
        click.echo("compare that key with the server's own (`receipt key`), which you have from elsewhere")
    click.echo(f"erasure {found.erasure_id} of {scope.kind} {what}".rstrip())
    click.echo(f"of the owner {found.owner} in the store {found.store_id}")
    click.echo(f"requested {found.requested_at}, completed {found.completed_at}, resumed {found.resumed} times")
    click.echo(
        f"{erased.records:,} records of {erased.streams:,} streams, {erased.blobs:,} blobs ({size(erased.bytes)})"
    )
    residue = found.residue
    samples = residue.samples - residue.shared
    click.echo(f"traces: {residue.result}; {samples:,} samples were looked for")
    for kind, count in sorted(residue.found.items()):
        click.echo(f"  {count:,} left in {kind}")
    if found.spine_head is not None:
        click.echo(f"audit log at event {found.spine_head['seq']}, {found.spine_head['hash']}")


@receipt.command()
@store_options
@click.argument("erasure")
def show(opening: Opening, erasure: str) -> None:
    """Print the receipt of ERASURE, the same bytes as when it was made."""

    async def work(store: RecordStore) -> bytes:
        for owner in await store.central.owners():
            job = await store.central.erasure(owner.id, erasure)
            if job is not None and job.receipt is None:
                raise Unknown(f"{erasure} is not complete; a running server, or `blobstore gc`, finishes it")
            if job is not None and job.receipt is not None:
                return job.receipt
        raise Unknown(f"no erasure {erasure}")

    click.echo(run_looking(opening, work))


@receipt.command()
@store_options
def key(opening: Opening) -> None:
    """Print the public key with which this server signs: give it to whoever shall verify receipts."""

    async def work(store: RecordStore) -> str:
        return store.erasures.public_key

    click.echo(run_looking(opening, work))
