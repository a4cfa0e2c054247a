"""`blobstore bench`: every line of docs/benchmarks, or some; what has no peer has commands of its own."""

import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from tools.bench import page, results
from tools.bench.figures import PAIRS, Bench, Line
from tools.bench.lines import LINES
from tools.lazy import lazy

_OTHERS = {
    name: f"tools.bench.{name}"
    for name in (
        "catalogue",
        "costs",
        "growth",
        "migrate",
        "s3",
        "topology",
        "workers",
    )
}

_NAMES = [line.name for line in LINES]


@click.group(cls=lazy(_OTHERS), invoke_without_command=True)
@click.option("--only", "names", multiple=True, type=click.Choice(_NAMES), help="Only this line (repeatable).")
@click.option(
    "--pairs", type=click.IntRange(1), default=PAIRS, show_default=True, help="Pairs of each: ours and a peer."
)
@click.option("--scale", type=float, default=1.0, show_default=True, help="Multiplies sizes and numbers: for a try.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Where a line says --workers.")
@click.option("--reference", metavar="URL", help="A PDPP reference that runs: http://TOKEN@HOST:PORT.")
@click.option("--database-url", help="An empty database in a PostgreSQL that runs, to be filled (default: a new one).")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Keep what was measured, e.g. in docs/benchmarks."
)
@click.pass_context
def bench(
    context: click.Context,
    names: Sequence[str],
    pairs: int,
    scale: float,
    workers: int,
    reference: str | None,
    database_url: str | None,
    directory: Path | None,
    out: Path | None,
) -> None:
    """Measure this server beside its peers on this machine. Without a command: all lines, or those of --only."""
    if context.invoked_subcommand is not None:
        return
    asked = Bench(Path(), pairs, scale, workers, reference, database_url)
    with _ending_in_order():
        found = [_measured(line, asked, directory, out) for line in LINES if line.name in (names or _NAMES)]
    results.show(found)
    if not all(each["reached"] is not False for one in found for each in one["figures"]):
        raise click.exceptions.Exit(1)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM ends the servers that were started, and removes what was written, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _measured(line: Line, asked: Bench, directory: Path | None, out: Path | None) -> results.Document:
    """In a directory of its own, which goes before the next."""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        bench = replace(asked, scratch=Path(name))
        click.echo(f"{line.name}: {line.work}", err=True)
        begun = results.begun(line, bench)
        figures = []
        for figure in line.figures(bench):
            click.echo("  " + results.told(figure), err=True)
            figures.append(figure)
        found = results.ended(begun, figures)
    if out is not None:
        results.keep(out, found)
        page.write(out, results.kept(out, _NAMES))
    return found
