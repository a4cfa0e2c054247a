"""`blobstore import-reference`: what a PDPP reference server has collected, into a store."""

import asyncio
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from records.errors import Invalid
from records.manifest import decode
from tools.opening import Opening, store_options_if_any
from tools.pdpp.bring import Importer
from tools.pdpp.file import NotTheReferenceError, ReadError, ReferenceFile, Source
from tools.pdpp.report import Report
from tools.sink import Refused, SinkError
from tools.target import Target, named


@click.command("import-reference")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--server", metavar="URL", envvar="BLOBSTORE_SERVER", help="A running server's address.")
@click.option("--token", metavar="T", envvar="BLOBSTORE_TOKEN", help="An owner token of that server.")
@store_options_if_any
@click.option("--owner", metavar="NAME", envvar="BLOBSTORE_OWNER", help="Whose data it becomes, with --data.")
@click.option("--subject", help="Whose data of the file, where it has several owners'.")
@click.option("--connector", help="Only what this connector brought.")
@click.option("--overwrite", is_flag=True, help="Also where the connector has written to this store since.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as an array of objects.")
@click.pass_context
def import_reference(
    context: click.Context, /, file: Path, opening: Opening | None, connector: str | None, **given: Any
) -> None:
    """Bring what a PDPP reference server keeps in its SQLite FILE into a store: manifests, records, the bytes that they
    name, and sync state.

    FILE is only read, as it is at one moment. Accounts keep their ids, so grants of the reference's authorization
    server go on to fit. Bytes are read in pieces and held against their SHA-256. Run it again after an interruption:
    it goes on where it was. Exit code 0: all is stored; 1: something was refused or damaged; 130: interrupted.
    """
    target = named(context, opening)
    try:
        with closing(ReferenceFile.open(file)) as reference:
            sources = _chosen(reference.sources(), given["subject"], connector)
            report = asyncio.run(_run(reference, sources, target, overwrite=given["overwrite"]))
            if connector is None and given["subject"] is None:
                _count_unnamed(reference, report)
    except (NotTheReferenceError, SinkError) as error:
        raise click.ClickException(str(error)) from None
    except ReadError as error:
        raise click.ClickException(
            f"{file} is damaged ({error}): what was read is stored; mend it (sqlite3 FILE .recover) and run this again"
        ) from None
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on where it was.", err=True)
        context.exit(130)
    if given["as_json"]:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report.as_json()), indent=2).decode() + "\n")
    else:
        report.print(Console())
    context.exit(report.exit_code)


async def _run(file: ReferenceFile, sources: list[Source], target: Target, *, overwrite: bool) -> Report:
    report = Report()
    for source in sources:
        if source.manifest is None:
            records = sum(there for there, _ in file.streams(source).values())
            report.failed(source.connector, f"no manifest is registered in the file: {records} records are left there")
            continue
        try:
            manifest = decode(source.manifest)
            async with target.open(manifest.connector_id, source.instance) as sink:
                await Importer(file, source, manifest, sink, report).run(overwrite=overwrite)
        except (Invalid, Refused) as error:
            report.failed(source.connector, f"its manifest is not taken here: {error}")
    return report


def _chosen(sources: list[Source], subject: str | None, connector: str | None) -> list[Source]:
    """Those that are meant. Raises `NotTheReferenceError` where that is not clear."""
    subjects = sorted({each.owner for each in sources if each.owner is not None})
    if subject is None and len(subjects) > 1:
        raise NotTheReferenceError(f"the file has data of {', '.join(subjects)}: name one with --subject")
    chosen = [each for each in sources if subject is None or each.owner == subject]
    if connector is not None:
        chosen = [each for each in chosen if each.connector == connector]
    if not chosen:
        there = ", ".join(sorted({each.connector for each in sources})) or "nothing"
        raise NotTheReferenceError(f"the file has no such data; there is: {there}")
    return chosen


def _count_unnamed(file: ReferenceFile, report: Report) -> None:
    """The reference keeps bytes that nothing names any more; of a run that went on nobody knows how many."""
    blobs, size = file.blobs()
    if blobs > report.blobs and not any(each.before for each in report.streams):
        why = f"blobs that no record names, or that are refused ({size - report.blob_bytes:,} bytes)"
        report.left_out[why] = blobs - report.blobs
