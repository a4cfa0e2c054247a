"""`blobstore connector`: one connector's bundle, out of one owner's data and into another's."""

from contextlib import closing
from pathlib import Path

import click

from records.bag.imports import LIMIT, Imported
from records.bundle.bundles import Bundles, Detached, Verified
from records.store import RecordStore
from tools.importing import pairs
from tools.looking import known_owner
from tools.opening import Opening, run_with_store, store_options

UNFINISHED, UNCLEAN, LOST = 3, 4, 5
"""Exit codes: the erasure goes on in the background; it left traces; it took other records than the bundle has."""


@click.group()
def connector() -> None:
    """Take a connector out with all that is its, and into another owner or server."""


@connector.command()
@store_options
@click.option("--owner", required=True, help="Whose data.")
@click.option("--connector", "name", required=True, help="Which connector, by id or key.")
@click.option("--keep", is_flag=True, help="Leave it here as well.")
@click.argument("out", type=click.Path(path_type=Path))
def detach(opening: Opening, owner: str, name: str, keep: bool, out: Path) -> None:
    """Write the connector's bundle to the folder OUT, verify it, and erase the connector here.

    What is written before is in the bundle; who writes while it is decided is refused. Cut off, it is done again with
    the same OUT. Exit code 3: the erasure goes on in the background; 4: a file still shows something of it; 5: it took
    another number of records than the bundle has, for something else was erased at the same time.
    """

    async def work(store: RecordStore) -> Detached:
        return await Bundles(store).detach(await known_owner(store, owner), name, out, keep=keep)

    done = run_with_store(opening, work)
    click.echo(f"{out}: {done.records:,} records; {done.document.bag}")
    if done.erasure is None:
        return
    report = done.erasure.report
    click.echo(
        f"{report.state}: {report.records:,} records and {report.blobs:,} blobs erased; erasure {report.id}", err=True
    )
    if done.erasure.receipt is None:
        raise click.exceptions.Exit(UNFINISHED)
    if report.records != done.records:
        click.echo(f"{report.records:,} records were erased, and {done.records:,} are in the bundle", err=True)
        raise click.exceptions.Exit(LOST)
    if not report.clean:
        raise click.exceptions.Exit(UNCLEAN)


@connector.command()
@store_options
@click.option("--owner", required=True, help="Whose it becomes; made if need be.")
@click.option(
    "--instance",
    "renamed",
    multiple=True,
    metavar="OLD=NEW",
    callback=pairs,
    help="Another name for an account; one whose name is taken gets one by itself.",
)
@click.option("--key", "public_key", help="Whose signature the bundle must have: a server's public key.")
@click.option("--limit", default=LIMIT, show_default=True, help="Bytes of all files, beyond which it is refused.")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
def attach(
    opening: Opening, owner: str, renamed: dict[str, str], public_key: str | None, limit: int, bundle: Path
) -> None:
    """Take what `blobstore connector detach` wrote to the folder BUNDLE.

    All of it is verified before anything is stored. An attach that was cut off is done again, and goes on.
    """

    async def work(store: RecordStore) -> tuple[Verified, Imported]:
        bundles = Bundles(store)
        with closing(await bundles.verify(bundle, public_key=public_key, limit=limit)) as verified:
            return verified, await bundles.attach(await store.access.owner(owner), verified, renamed)

    verified, imported = run_with_store(opening, work, make=True)
    click.echo(
        f"attached {verified.document.connector}: {imported.records:,} records; {imported.blobs:,} blobs that were not"
        f" here yet"
    )
    click.echo(
        f"signed by {verified.signer}; {verified.events:,} events of its audit log are proven up to event"
        f" {0 if verified.document.spine_head is None else verified.document.spine_head.seq:,}",
        err=True,
    )
    if imported.skipped:
        click.echo(
            f"{imported.skipped:,} records and states are of streams that no manifest declares: left out", err=True
        )
