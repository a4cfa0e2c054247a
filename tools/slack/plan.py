"""What is to be done for each file, given what earlier runs did: decisions without I/O."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tools.slack import records
from tools.slack.batches import short_digest
from tools.slack.ledger import Ledger, Settled, Tried
from tools.slack.records import Hydration
from tools.slack.source import FileEntry
from tools.slack.status import WORTH_FETCHING, Status, Verdict, before_bytes, declared_size

_UNDECIDED = Hydration(Verdict(Status.MISSING))

_REPLACES_BYTES = frozenset({Status.HYDRATED, Status.TOMBSTONE})
"""What may take the place of stored bytes: newer bytes, or a deletion. A source that lost its copy may not."""


@dataclass(frozen=True, slots=True)
class Todo:
    """A file to be looked at; `digest` changes with what Slack says of it and with the stamp of its bytes."""

    entry: FileEntry
    digest: str
    earlier: Settled | None

    @property
    def size(self) -> int:
        """Bytes to expect, for the progress bar."""
        return self.entry.located.size if self.entry.located else declared_size(self.entry.described) or 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Compares files with the ledger; `means` tells with what a download of a file would be tried."""

    ledger: Ledger
    means: Callable[[FileEntry], Tried]
    keep_deleted: bool = False
    max_size: int | None = None

    def split(self, entries: Iterable[FileEntry]) -> Iterator[Todo | tuple[str, Settled]]:
        """Each entry as something to do, or as settled with its id."""
        for entry in entries:
            todo = self.look(entry)
            if todo.earlier is not None and not self._again(todo, todo.earlier):
                yield entry.id, todo.earlier
            else:
                yield todo

    def look(self, entry: FileEntry) -> Todo:
        """The entry with its digest and what the ledger knows of it."""
        word = before_bytes(entry, keep_deleted=self.keep_deleted)
        digest = short_digest(
            records.file(entry, _UNDECIDED),
            entry.located.stamp.encode() if entry.located else b"",
            word.status.encode() if word else b"",
        )
        return Todo(entry, digest, self.ledger.file(entry.id))

    def _again(self, todo: Todo, earlier: Settled) -> bool:
        """The file must be looked at again: something changed, or a download may do better now."""
        if self.ledger.full or todo.digest != earlier.digest:
            return True
        means = self.means(todo.entry)
        if earlier.status in WORTH_FETCHING or earlier.status is Status.GONE:
            return means > earlier.tried
        if earlier.status is Status.TOO_LARGE:
            return means > Tried.NOTHING and (self.max_size is None or earlier.size <= self.max_size)
        return earlier.status is Status.DENIED and means > Tried.NOTHING


def keeps_stored_bytes(earlier: Settled | None, status: Status) -> bool:
    """An earlier run stored the bytes, and what came out now is no reason to give them up."""
    return earlier is not None and earlier.status is Status.HYDRATED and status not in _REPLACES_BYTES


def changes_nothing(earlier: Settled | None, now: Settled) -> bool:
    """The store has this very outcome already."""
    return earlier == now and now.status is not Status.HYDRATED
