"""What earlier runs have written, as the sync state keeps it: enough to write nothing twice, and small.

Of `files` one short text a file id: how it ended, a digest of what Slack says of it and of the stamp of its bytes. Of
the other streams the digests of the batches that the store has acknowledged. And of each stream, once the store has
all of it, which source it came from: while that is the same byte for byte, nothing of it needs to be looked at. An
entry is made only after the store has acknowledged what it speaks of, so that a lost ledger, or an old one, costs work
and never data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec

from tools.slack.report import Whole
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


class _From(msgspec.Struct, frozen=True):
    """All of a stream is in the store, as it is in the source that has this digest."""

    source: str
    whole: Whole


class Ledger:
    """The sync state of one run: read at its start, added to as the store acknowledges.

    With `full`, batches are sent again and files are looked at again; what is known of files still protects them.
    """

    def __init__(self, state: Mapping[str, Any], *, full: bool = False) -> None:
        self.full = full
        self._files = _files(state.get("files"))
        self._known = {stream: set() if full else _batches(value) for stream, value in state.items()}
        self._from = {} if full else {stream: found for stream, value in state.items() if (found := _from(value))}
        self._seen: dict[str, set[str]] = {}
        self._changed: set[str] = set()

    def file(self, file_id: str) -> Settled | None:
        """How the file ended when it was last settled."""
        text = self._files.get(file_id)
        return None if text is None else _settled(text)

    def settle(self, file_id: str, settled: Settled) -> None:
        """The store has acknowledged the record of the file, and its bytes if it has any."""
        if self._files.get(file_id) != str(settled):
            self._files[file_id] = str(settled)
            self._change("files")

    def has(self, stream: str, digest: str) -> bool:
        """An earlier run sent this very batch, and it was acknowledged."""
        return digest in self._known.get(stream, ())

    def keep(self, stream: str, digest: str) -> None:
        """The batch, which the ledger has, is still in the source."""
        self._seen.setdefault(stream, set()).add(digest)

    def add(self, stream: str, digest: str) -> None:
        """The store has acknowledged the batch."""
        self._seen.setdefault(stream, set()).add(digest)
        self._change(stream)

    def whole(self, stream: str, source: str | None) -> Whole | None:
        """What was told of the stream when the store had all of it, if it came from a source with this digest."""
        found = self._from.get(stream)
        return found.whole if found is not None and found.source == source else None

    def finish(self, stream: str, source: str | None = None, whole: Whole | None = None) -> None:
        """The stream was read to its end: forget the batches that are no more.

        `whole` where the store has all of it, and `source` where the source has a digest.
        """
        if self._known.get(stream, set()) - self._seen.get(stream, set()):
            self._known[stream] = set()
            self._change(stream)
        if source is not None and whole is not None:
            self._change(stream)
            self._from[stream] = _From(source, whole)

    def changes(self) -> dict[str, Any]:
        """The state of each stream that changed since the last call, ready to be saved."""
        changed, self._changed = self._changed, set()
        return {stream: self._state(stream) for stream in sorted(changed)}

    def _change(self, stream: str) -> None:
        """To be saved; what the store has is, from now on, no longer what some source has."""
        self._changed.add(stream)
        self._from.pop(stream, None)

    def _state(self, stream: str) -> dict[str, Any]:
        state: dict[str, Any] = {"v": VERSION}
        if stream == "files":
            state["files"] = dict(self._files)
        else:
            state["batches"] = sorted(self._known.get(stream, set()) | self._seen.get(stream, set()))
        if stream in self._from:
            state["from"] = self._from[stream]
        return state


def _files(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or value.get("v") != VERSION:
        return {}
    return dict(value.get("files", {}))


def _settled(text: str) -> Settled | None:
    try:
        return Settled.parse(text)
    except (ValueError, KeyError, IndexError):
        return None  # not ours: the file is looked at again


def _batches(value: Any) -> set[str]:
    if not isinstance(value, dict) or value.get("v") != VERSION:
        return set()
    return set(value.get("batches", ()))


def _from(value: Any) -> _From | None:
    if not isinstance(value, dict) or value.get("v") != VERSION:
        return None
    try:
        return msgspec.convert(value.get("from"), _From)
    except msgspec.ValidationError:
        return None  # not ours: the stream is looked at again
