"""What a hydration did, for people and for programs.

The exit code is 0 when every file is hydrated or cannot be had: Slack deleted, hides or never held it, the source lost
it and there is nothing to download it with, Slack has it no more, or it is larger than the user allows. It is 1 when
running again may store more: the store refused something, a copy could not be read, a download failed, or Slack
denied one to the credential that was given.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from tools.slack.status import Status

STREAMS = ("channels", "users", "files", "messages")

NOT_RECORDED = "not_recorded"
"""The store refused the record of a file: what the source says of it is not in the store."""

_TRIED_AGAIN = frozenset({Status.DENIED, Status.TOO_LARGE})
"""What every run may ask a server for once more."""

_FAILURES_SHOWN = 20
_EXAMPLES = 3


@dataclass(slots=True)
class Tally:
    """Files of one status; `size` is of the stored bytes, else as Slack declares it."""

    files: int = 0
    size: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Lines:
    """Records of one stream: how many the source has, how many were sent in this run, how many were refused."""

    records: int = 0
    sent: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Ignored:
    """What was passed over, with some of their names."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """What the report tells of a stream of which the store has everything; of `files` also what became of each."""

    records: int
    statuses: dict[str, Tally] = field(default_factory=dict)
    strays: Ignored = field(default_factory=Ignored)


@dataclass(slots=True)
class Report:
    """Counts of one run; every file is in exactly one tally."""

    statuses: dict[str, Tally] = field(default_factory=dict)
    streams: dict[str, Lines] = field(default_factory=lambda: {name: Lines() for name in STREAMS})
    """In this order, whichever is written first."""
    blobs_sent: int = 0
    blob_bytes_sent: int = 0
    strays: Ignored = field(default_factory=Ignored)
    """Files in the archive that belong to no file id."""
    unusable: Ignored = field(default_factory=Ignored)
    """Objects of Slack's that no record can be made of."""
    failures: Counter[str] = field(default_factory=Counter)
    _file_failed: bool = False
    _first_failures: list[tuple[str, str]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def file(self, file_id: str, status: str, size: int) -> None:
        """One file has come to its end. Raises `ValueError` when it had already."""
        if file_id in self._seen:
            raise ValueError(f"file {file_id} has two statuses")
        self._seen.add(file_id)
        tally = self.statuses.setdefault(status, Tally())
        tally.files += 1
        tally.size += size
        if status != Status.HYDRATED and len(tally.examples) < _EXAMPLES:
            tally.examples.append(file_id)

    def whole(self, stream: str) -> Whole | None:
        """The stream as later runs may tell of it, where they would find nothing to do for the same source."""
        lines = self.stream(stream)
        if stream != "files":
            return None if lines.rejected else Whole(lines.records)
        final = not self._file_failed and self.statuses.keys().isdisjoint(_TRIED_AGAIN)
        return Whole(lines.records, self.statuses, self.strays) if final else None

    def take(self, stream: str, whole: Whole) -> None:
        """An earlier run has brought all of the stream into the store."""
        self.stream(stream).records = whole.records
        if stream == "files":
            self.statuses, self.strays = whole.statuses, whole.strays

    def has(self, file_id: str) -> bool:
        """The file has come to its end."""
        return file_id in self._seen

    def stream(self, name: str) -> Lines:
        """The counts of a stream, to be added to."""
        return self.streams.setdefault(name, Lines())

    def sent_blob(self, size: int) -> None:
        self.blobs_sent += 1
        self.blob_bytes_sent += size

    def failed(self, what: str, why: str) -> None:
        """Something is not stored that could be; `what` is a file id or a stream."""
        self.failures[why] += 1
        self._file_failed |= what not in STREAMS
        if len(self._first_failures) < _FAILURES_SHOWN:
            self._first_failures.append((what, why))

    @property
    def files(self) -> int:
        return sum(tally.files for tally in self.statuses.values())

    @property
    def exit_code(self) -> int:
        """See the module's text."""
        return 1 if self.failures or Status.DENIED in self.statuses else 0

    def as_json(self) -> list[dict[str, Any]]:
        """Objects told apart by `kind`: `status`, `stream`, `strays`, `unusable`, `failure` and one `total`."""
        rows: list[dict[str, Any]] = [
            {"kind": "status", "status": str(status), "files": tally.files, "bytes": tally.size}
            for status, tally in sorted(self.statuses.items())
        ]
        rows += [
            {
                "kind": "stream",
                "stream": name,
                "records": lines.records,
                "records_sent": lines.sent,
                "records_rejected": lines.rejected,
            }
            for name, lines in self.streams.items()
        ]
        rows.append({"kind": "strays", "files": self.strays.count, "examples": list(self.strays.examples)})
        rows.append({"kind": "unusable", "objects": self.unusable.count, "examples": list(self.unusable.examples)})
        rows += [{"kind": "failure", "what": what, "why": why} for what, why in self._first_failures]
        rows.append(
            {
                "kind": "total",
                "files": self.files,
                "blobs_sent": self.blobs_sent,
                "blob_bytes_sent": self.blob_bytes_sent,
                "failures": self.failures.total(),
                "exit_code": self.exit_code,
            }
        )
        return rows

    def print(self, console: Console) -> None:
        """Tables for people."""
        console.print(self._files_table())
        console.print(self._streams_table())
        sent = f"{self.blobs_sent} files ({decimal(self.blob_bytes_sent)})" if self.blobs_sent else "no file"
        console.print(f"Sent in this run: {sent}.", highlight=False)
        for what, ignored in (("stray files", self.strays), ("objects that are no records", self.unusable)):
            if ignored.count:
                names = ", ".join(escape(repr(name)) for name in ignored.examples)
                console.print(f"Ignored {ignored.count} {what}: {names}", highlight=False, soft_wrap=True)
        for what, why in self._first_failures:
            console.print(f"[red]not stored[/red] {escape(what)}: {escape(why)}", highlight=False, soft_wrap=True)
        more = self.failures.total() - len(self._first_failures)
        if more > 0:
            console.print(f"… and {more} more.", highlight=False)

    def _files_table(self) -> Table:
        table = Table(title="Files", title_justify="left")
        for heading, justify in (("status", "left"), ("files", "right"), ("size", "right"), ("for example", "left")):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal in a loop
        for status, tally in sorted(self.statuses.items(), key=lambda item: -item[1].files):
            table.add_row(str(status), str(tally.files), decimal(tally.size), escape(", ".join(tally.examples)))
        table.add_section()
        table.add_row("all", str(self.files), decimal(sum(tally.size for tally in self.statuses.values())), "")
        return table

    def _streams_table(self) -> Table:
        table = Table(title="Records", title_justify="left")
        table.add_column("stream")
        for heading in ("records", "sent", "refused"):
            table.add_column(heading, justify="right")
        for name, lines in self.streams.items():
            table.add_row(name, str(lines.records), str(lines.sent), str(lines.rejected))
        return table
