"""What became of each Slack file: pure decisions, exactly one status a file.

Rules, in the order in which they are asked:

1. Slack's word, before any byte is read (`before_bytes`): a deletion is respected whatever still lies in the archive,
   and what Slack never held or never showed has no bytes to look for.
2. The bytes themselves (`of_bytes`), wherever they come from. `file.size` is a hint: canvases, posts and e-mails are
   rendered anew at every download, so their length says nothing; for other types fewer bytes than declared were cut
   off, more are the file as it is now.
3. What a server answered to a download (`of_response`), and the held and the fetched copy together (`better`).
"""

from dataclasses import dataclass
from enum import StrEnum

from tools.slack.source import FileEntry, SlackObject


class Status(StrEnum):
    """The words of `hydration_status`."""

    HYDRATED = "hydrated"
    MISSING = "missing"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    WRONG_CONTENT = "wrong_content"
    TOMBSTONE = "tombstone"
    HIDDEN_BY_LIMIT = "hidden_by_limit"
    EXTERNAL = "external"
    FILE_ACCESS = "file_access"
    DENIED = "denied"
    GONE = "gone"
    TOO_LARGE = "too_large"


WORTH_FETCHING = frozenset({Status.MISSING, Status.TRUNCATED, Status.EMPTY, Status.WRONG_CONTENT})
"""What a download may cure."""

NOT_STORABLE = frozenset({Status.TOMBSTONE, Status.HIDDEN_BY_LIMIT, Status.EXTERNAL, Status.FILE_ACCESS})
"""What no source can give: Slack deleted it, hides it or never held it. No failure of the import."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One status with the sentence for `hydration_error`; a note beside `HYDRATED` is a remark, no error."""

    status: Status
    note: str | None = None


def before_bytes(entry: FileEntry, *, keep_deleted: bool = False) -> Verdict | None:
    """The verdict that needs no bytes, or None: look for bytes, in the source first, else by download.

    With `keep_deleted`, bytes that the source holds of a deleted file are judged like any others.
    """
    raise NotImplementedError


def of_bytes(slack: SlackObject, size: int, head: bytes) -> Verdict:
    """The verdict over `size` bytes that start with `head` (`sniff.HEAD` bytes, or all there are).

    `slack` is the form that describes the bytes: `FileEntry.described`.
    """
    raise NotImplementedError


def missing(entry: FileEntry) -> Verdict:
    """The verdict where the source holds no bytes for an entry that should have some."""
    raise NotImplementedError


def of_response(http_status: int) -> Verdict | None:
    """The verdict over a download that a server refused for good, or None: retry, or judge the body."""
    raise NotImplementedError


def better(held: Verdict, fetched: Verdict) -> Verdict:
    """The one verdict over a file whose held copy was no good and whose download has ended too."""
    raise NotImplementedError
