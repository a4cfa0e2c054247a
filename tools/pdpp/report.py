"""What an import did, for people and for programs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

EXAMPLES = 20


@dataclass(slots=True)
class Stream:
    """Records of one stream: in the file, stored now, stored by a run before this one, refused; deleted in the file."""

    connector: str
    instance: str | None
    name: str
    records: int = 0
    sent: int = 0
    before: int = 0
    refused: int = 0
    deleted: int = 0


@dataclass(slots=True)
class Report:
    """Counts of one run; sizes in bytes. `left_out`: of what nothing is kept here, by reason."""

    streams: list[Stream] = field(default_factory=list)
    states: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)

    def failed(self, what: str, why: str) -> None:
        """Something of the file that should be stored is not."""
        self.problems[why] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((what, why))

    @property
    def exit_code(self) -> int:
        """0 where all that should be stored is."""
        return 1 if self.problems else 0

    def as_json(self) -> list[dict[str, Any]]:
        """Objects told apart by `kind`: `stream`, `left_out`, `problem` and one `total`."""
        rows: list[dict[str, Any]] = [
            {
                "kind": "stream",
                "connector": each.connector,
                "instance": each.instance,
                "stream": each.name,
                "records": each.records,
                "records_sent": each.sent,
                "records_before": each.before,
                "records_refused": each.refused,
                "records_deleted": each.deleted,
            }
            for each in self.streams
        ]
        rows += [{"kind": "left_out", "why": why, "count": count} for why, count in sorted(self.left_out.items())]
        rows += [{"kind": "problem", "what": what, "why": why} for what, why in self.examples]
        total = {"records_sent": sum(each.sent for each in self.streams), "states": self.states}
        return [*rows, {"kind": "total", **total, "blobs": self.blobs, "blob_bytes": self.blob_bytes}]

    def print(self, console: Console) -> None:
        """For people."""
        names = (Column(name, overflow="fold") for name in ("connector", "stream"))  # whole, also where it is narrow
        table = Table(*names, *("records", "stored now", "before", "refused", "deleted there"))
        for each in self.streams:
            of = each.connector if each.instance is None else f"{each.connector} {each.instance}"
            numbers = (each.records, each.sent, each.before, each.refused, each.deleted)
            table.add_row(escape(of), escape(each.name), *(f"{number:,}" for number in numbers))
        console.print(table)
        console.print(f"{self.blobs:,} blobs ({decimal(self.blob_bytes)}) verified and stored, {self.states:,} states")
        for why, count in sorted(self.left_out.items()):
            console.print(f"left out: {count:,} {escape(why)}")
        for why, count in sorted(self.problems.items()):
            console.print(f"[red]not stored: {count:,}: {escape(why)}[/red]")
        for what, why in self.examples:
            console.print(f"  {escape(what)}: {escape(why)}")
