"""What several modules ask of Slack's objects, whatever Slack left out of them."""

from typing import Any

from tools.slack.source import SlackObject

_SECONDS_DIGITS = 12
"""They reach the year 33658: whatever is longer is no time."""


def microseconds(ts: Any) -> int | None:
    """A Slack time such as `"1714032849.000001"` in microseconds; None where it is none.

    >>> microseconds("1714032849.000001")
    1714032849000001
    """
    if not isinstance(ts, str):
        return None
    seconds, _, fraction = ts.partition(".")
    digits = seconds + fraction[:6].ljust(6, "0")
    well_formed = 0 < len(seconds) <= _SECONDS_DIGITS and digits.isascii() and digits.isdigit()
    return int(digits) if well_formed else None


def file_objects(message: SlackObject) -> list[SlackObject]:
    """The files that a message mentions, in their order; `file`, as it was until 2017, is one of them."""
    files = message.get("files")
    listed = files if isinstance(files, list) else []
    return [file for file in (*listed, message.get("file")) if isinstance(file, dict)]
