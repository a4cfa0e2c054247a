"""What earlier runs have written, as the sync state keeps it: enough to write nothing twice, and small.

Of `files` one short text a file id: how it ended, a digest of what Slack says of it and of the stamp of its bytes. Of
the other streams the digests of the batches that the store has acknowledged. An entry is made only after the store
has acknowledged what it speaks of, so that a lost ledger, or an old one, costs work and never data.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tools.slack.status import Status

VERSION = 1
"""A state of another version is ignored. Goes up when what is kept changes, or what `records` makes of an object."""

_LETTERS = {
    Status.HYDRATED: "h",
    Status.MISSING: "m",
    Status.TRUNCATED: "t",
    Status.EMPTY: "e",
    Status.WRONG_CONTENT: "w",
    Status.TOMBSTONE: "d",
    Status.HIDDEN_BY_LIMIT: "l",
    Status.EXTERNAL: "x",
    Status.FILE_ACCESS: "a",
    Status.DENIED: "n",
    Status.GONE: "g",
    Status.TOO_LARGE: "b",
}
_STATUSES = {letter: status for status, letter in _LETTERS.items()}


class Tried(IntEnum):
    """With what a download was tried, or could be: more may cure what less did not."""

    NOTHING = 0
    LINK = 1
    """The credential in the export's own link."""
    TOKEN = 2


@dataclass(frozen=True, slots=True)
class Settled:
    """How one file ended in an earlier run; `size` is of the stored bytes, or as Slack declares it."""

    status: Status
    digest: str
    size: int = 0
    tried: Tried = Tried.NOTHING

    def __str__(self) -> str:
        return f"{_LETTERS[self.status]}{self.tried.value}{self.digest}{self.size:x}"

    @classmethod
    def parse(cls, text: str) -> "Settled":
        """The inverse of `str`. Raises `ValueError` or `KeyError` on anything else."""
        return cls(_STATUSES[text[0]], text[2:18], int(text[18:], 16), Tried(int(text[1])))


class Ledger:
    """The sync state of one run: read at its start, added to as the store acknowledges.

    With `full`, batches are sent again and files are looked at again; what is known of files still protects them.
    """

    def __init__(self, state: Mapping[str, Any], *, full: bool = False) -> None:
        self.full = full
        self._files: dict[str, Settled] = dict(_files(state.get("files")))
        self._known = {stream: set() if full else _batches(value) for stream, value in state.items()}
        self._seen: dict[str, set[str]] = {}
        self._changed: set[str] = set()

    def file(self, file_id: str) -> Settled | None:
        """How the file ended when it was last settled."""
        return self._files.get(file_id)

    def settle(self, file_id: str, settled: Settled) -> None:
        """The store has acknowledged the record of the file, and its bytes if it has any."""
        if self._files.get(file_id) != settled:
            self._files[file_id] = settled
            self._changed.add("files")

    def has(self, stream: str, digest: str) -> bool:
        """An earlier run sent this very batch, and it was acknowledged."""
        return digest in self._known.get(stream, ())

    def keep(self, stream: str, digest: str) -> None:
        """The batch, which the ledger has, is still in the source."""
        self._seen.setdefault(stream, set()).add(digest)

    def add(self, stream: str, digest: str) -> None:
        """The store has acknowledged the batch."""
        self._seen.setdefault(stream, set()).add(digest)
        self._changed.add(stream)

    def finish(self, stream: str) -> None:
        """The stream was read to its end: forget the batches that are no more."""
        if self._known.get(stream, set()) - self._seen.get(stream, set()):
            self._known[stream] = set()
            self._changed.add(stream)

    def changes(self) -> dict[str, Any]:
        """The state of each stream that changed since the last call, ready to be saved."""
        changed, self._changed = self._changed, set()
        return {stream: self._state(stream) for stream in sorted(changed)}

    def _state(self, stream: str) -> dict[str, Any]:
        if stream == "files":
            return {"v": VERSION, "files": {file_id: str(settled) for file_id, settled in self._files.items()}}
        return {"v": VERSION, "batches": sorted(self._known.get(stream, set()) | self._seen.get(stream, set()))}


def _files(value: Any) -> Iterable[tuple[str, Settled]]:
    if not isinstance(value, dict) or value.get("v") != VERSION:
        return
    for file_id, text in value.get("files", {}).items():
        try:
            yield file_id, Settled.parse(text)
        except (ValueError, KeyError, IndexError):
            continue  # not ours: the file is looked at again


def _batches(value: Any) -> set[str]:
    if not isinstance(value, dict) or value.get("v") != VERSION:
        return set()
    return set(value.get("batches", ()))
