"""`blobstore import`: a bag into a data directory."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from blobstore.scratch import ScratchFile
from records.bag.archive import PIECE, Archive, Bytes
from records.bag.folder import FolderArchive
from records.bag.imports import LIMIT, Imported
from records.bag.untar import TarArchive
from records.bag.unzip import ZipArchive
from records.errors import BadBag
from records.store import RecordStore
from tools.opening import Opening, run_with_store, store_options
from tools.output import size


def pairs(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Options of the form OLD=NEW."""
    pairs = [each.partition("=")[::2] for each in given]
    if any(not old or not new for old, new in pairs) or len({old for old, _ in pairs}) < len(pairs):
        raise click.BadParameter("each is OLD=NEW, and no OLD twice")
    return dict(pairs)


@click.command("import")
@store_options
@click.option("--owner", required=True, help="Whose it becomes; made if need be.")
@click.option("--connector", help="Only what this connector brought, by id or key.")
@click.option(
    "--instance",
    "renamed",
    multiple=True,
    metavar="OLD=NEW",
    callback=pairs,
    help="Another name for an account: one that was erased here is never written to again.",
)
@click.option("--limit", default=LIMIT, show_default=True, help="Bytes of all files, beyond which it is refused.")
@click.argument("bag")
def import_bag(
    opening: Opening, owner: str, connector: str | None, renamed: dict[str, str], limit: int, bag: str
) -> None:
    """Take what `blobstore export` wrote: BAG is a tar or zip archive, a folder, or - for an archive on standard
    input.

    All of it is checked before anything is stored. An import that was cut off is done again, and goes on.
    """

    async def work(store: RecordStore) -> Imported:
        with _opened(store, bag, limit) as archive:
            checked = await store.imports.check(archive, limit)
            try:
                return await store.imports.load(await store.access.owner(owner), checked, connector, renamed)
            finally:
                checked.close()

    imported = run_with_store(opening, work, make=True)
    names = ", ".join(imported.connectors) or "nothing"
    click.echo(f"imported {names}: {imported.records:,} records; {imported.blobs:,} blobs that were not here yet")
    if imported.skipped:
        click.echo(
            f"{imported.skipped:,} records and states are of streams that no manifest declares: left out", err=True
        )


@contextmanager
def _opened(store: RecordStore, bag: str, limit: int) -> Iterator[Archive]:
    """The archive, open for as long as the block lasts."""
    if bag == "-":
        with closing(ScratchFile(store.blobs.staging)) as spooled:
            _spool(spooled, limit)
            yield _archive(spooled)
    elif Path(bag).is_dir():
        with closing(FolderArchive(Path(bag))) as folder:
            yield folder
    else:
        with closing(_File(Path(bag))) as file:
            yield _archive(file)


def _archive(source: Bytes) -> Archive:
    return ZipArchive(source) if source.read(0, 2) == b"PK" else TarArchive(source)


def _spool(spooled: ScratchFile, limit: int) -> None:
    """Standard input as it comes, for it is read twice."""
    while piece := sys.stdin.buffer.read(PIECE):
        spooled.append(piece)
        if spooled.size > 2 * limit:
            raise BadBag(f"the archive is much longer than {size(limit)}; raise --limit if that is meant")


class _File:
    """A file that is read at any offset: adapter of `records.bag.archive.Bytes`."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        while length > 0 and (piece := os.pread(self._descriptor, length, offset)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        os.close(self._descriptor)
