"""`blobstore export`: an owner's data as a bag, in a file or on standard output."""

import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click

from blobstore.durable import sync_folder, write_durably
from records.bag.export import Export
from records.bag.zip import zip_of
from records.store import RecordStore
from tools.looking import known_owner
from tools.opening import Opening, run_with_store, store_options

PIECE = 1 << 20
"""Bytes that are read and written at once."""


@click.command()
@store_options
@click.option("--owner", required=True, help="Whose data.")
@click.option("--connector", help="Only what this connector brought, by id or key.")
@click.option("--spine", "with_spine", is_flag=True, help="With the audit log; no two such exports are the same.")
@click.option(
    "--receipt",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where a signed receipt goes: which bag it is, and the head of the audit log.",
)
@click.argument("out")
def export(
    opening: Opening, owner: str, connector: str | None, with_spine: bool, receipt: Path | None, out: str
) -> None:
    """Write a bag (BagIt, RFC 8493) to OUT: a file that is not there yet, ending in .tar or .zip, or - for a
    tar archive on standard output."""

    async def work(store: RecordStore) -> None:
        subject = await known_owner(store, owner)
        # First a place for it: what cannot be written anywhere is not planned, and not on the spine as taken away.
        with _opened(out) as file:
            async with store.exports.open(subject, connector, with_spine=with_spine) as bag:
                await store.exports.note(subject, bag)
                async for piece in zip_of(bag) if Path(out).suffix == ".zip" else _tar_of(bag):
                    file.write(piece)
                if receipt is not None:
                    write_durably(receipt, await store.exports.receipt(subject, bag))
                told = f"{bag.files:,} files; {bag.name}"
        click.echo(told, err=True)

    run_with_store(opening, work)


async def _tar_of(bag: Export) -> AsyncIterator[bytes]:
    for offset in range(0, bag.size, PIECE):
        yield await bag.read(offset, PIECE)


@contextmanager
def _opened(out: str) -> Iterator[BinaryIO]:
    """A file to write to. It has its name once it is whole: what broke off must not look like a bag."""
    if out == "-":
        if sys.stdout is None:
            raise click.ClickException("standard output is closed; give a file, or open it")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    if path.suffix not in (".tar", ".zip"):
        raise click.UsageError("OUT ends in .tar or .zip, or is -")
    if path.exists():
        raise click.ClickException(f"{path} is there already; it is not replaced")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a rename it replaces nothing
        sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
