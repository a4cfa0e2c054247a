"""How commands print: tables for people, arrays of objects for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

SHORT = 24
"""Characters of a cell that is never broken over lines."""

WIDE = 160
"""Columns of a table that goes into a pipe or a file."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print an array of objects for programs.")


def listing(rows: Sequence[Mapping[str, Any]], *, as_json: bool, columns: Sequence[str], title: str = "") -> None:
    """Print the rows: all their members as JSON, or the named columns as a table."""
    if as_json:
        click.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
        return
    table = Table(title=title or None, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        numeric = any(isinstance(row.get(column), int | float) for row in rows)
        words = column.split("_")
        table.add_column(
            "\n".join(words),
            justify="right" if numeric else "left",
            no_wrap=all(len(str(row.get(column))) <= SHORT for row in rows),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_cell(column, row.get(column)) for column in columns))
    console = Console()
    # A pipe or a file has no width of its own; 80 columns would break names that a terminal shows whole.
    Console(width=None if console.is_terminal else WIDE).print(table)


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and "bytes" in column:
        return size(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def size(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
