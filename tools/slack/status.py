"""What became of each Slack file: pure decisions, exactly one status a file.

Rules, in the order in which they are asked:

1. Slack's word, before any byte is read (`before_bytes`): a deletion is respected whatever still lies in the archive,
   and what Slack never held or never showed has no bytes to look for. What it hides by now, but showed and let be
   saved before, is judged by its bytes.
2. The bytes themselves (`of_bytes`), wherever they come from. `file.size` is a hint: canvases, posts and e-mails are
   rendered anew at every download, so their length says nothing; for other types fewer bytes than declared were cut
   off, more are the file as it is now.
3. What a server answered to a download (`of_response`), and the held and the fetched copy together (`better`).
"""

from dataclasses import dataclass
from enum import StrEnum

from tools.slack import sniff
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

_VISIBLE = (None, "", "visible")
_LONGEST_NAME = 255
"""Bytes that most file systems allow for one name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One status with the sentence for `hydration_error`; a note beside `HYDRATED` is a remark, no error."""

    status: Status
    note: str | None = None


def is_stub(slack: SlackObject) -> bool:
    """Slack says that the file is deleted, hidden or out of reach, and nothing else of it."""
    return is_tombstone(slack) or _withheld(slack) is not None


def is_tombstone(slack: SlackObject) -> bool:
    """Slack says that the file was deleted."""
    return slack.get("mode") == "tombstone"


def before_bytes(entry: FileEntry, *, keep_deleted: bool = False) -> Verdict | None:
    """The verdict that needs no bytes, or None: look for bytes, in the source first, else by download.

    With `keep_deleted`, bytes that the source holds of a deleted file are judged like any others.
    """
    if entry.deleted and not (keep_deleted and entry.located):
        return Verdict(Status.TOMBSTONE, "deleted in Slack")
    saved_before = entry.located is not None and entry.earlier is not None
    withheld = _withheld(entry.slack)
    if withheld is not None and not saved_before:
        return withheld
    # Snippets that were once imported from elsewhere are external by flag only, and may have been saved.
    elsewhere = entry.described.get("is_external") is True and entry.located is None
    if elsewhere or entry.described.get("mode") == "external":
        return Verdict(Status.EXTERNAL, "kept outside Slack; only its address is known")
    return None


def _withheld(slack: SlackObject) -> Verdict | None:
    if slack.get("mode") == "hidden_by_limit":
        return Verdict(Status.HIDDEN_BY_LIMIT, "hidden by the limit of the workspace's plan")
    access = slack.get("file_access")
    if slack.get("mode") == "file_access" or access not in _VISIBLE:
        return Verdict(Status.FILE_ACCESS, f"out of reach in Slack: {access or 'no reason given'}")
    return None


def of_bytes(slack: SlackObject, size: int, head: bytes) -> Verdict:
    """The verdict over `size` bytes that start with `head` (`sniff.HEAD` bytes, or all there are).

    `slack` is the form that describes the bytes: `FileEntry.described`.
    """
    declared = declared_size(slack)
    if size == 0 and declared:
        return Verdict(Status.EMPTY, f"0 bytes, declared {declared}")
    if sniff.contradicts(slack, head, exact=size == declared):
        return Verdict(Status.WRONG_CONTENT, "a web page, most likely Slack's sign-in, in place of the file")
    if declared is None or size == declared:
        return Verdict(Status.HYDRATED)
    if size < declared and sniff.family(slack) is not sniff.Family.HTML:
        return Verdict(Status.TRUNCATED, f"{size} bytes, declared {declared}")
    return Verdict(Status.HYDRATED, f"{size} bytes, declared {declared}")


def declared_size(slack: SlackObject) -> int | None:
    """`size` as Slack gives it, where it gives a number of bytes."""
    size = slack.get("size")
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def missing(entry: FileEntry) -> Verdict:
    """The verdict where the source holds no bytes for an entry that should have some."""
    name = entry.described.get("name")
    if isinstance(name, str) and len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return Verdict(Status.MISSING, "not in the source: its name is too long for most file systems")
    return Verdict(Status.MISSING, "not in the source")


def of_response(http_status: int) -> Verdict | None:
    """The verdict over a download that a server refused for good, or None: retry, or judge the body."""
    said = f"the server answered {http_status}"
    match http_status:
        case 404 | 410:
            return Verdict(Status.GONE, said)
        case 413:
            return Verdict(Status.TOO_LARGE, said)
        case 408 | 425 | 429:
            return None
        case refused if 400 <= refused < 500:
            return Verdict(Status.DENIED, said)
    return None


def better(held: Verdict, fetched: Verdict) -> Verdict:
    """The one verdict over a file whose held copy was no good and whose download has ended too.

    A download that failed is the last word only where nothing was held; else the held copy's fault stays, with a
    remark on the download.
    """
    if fetched.status is Status.HYDRATED or held.status is Status.MISSING:
        return fetched
    remark = f"download: {fetched.status}" + (f" ({fetched.note})" if fetched.note else "")
    return Verdict(held.status, f"{held.note}; {remark}" if held.note else remark)
