"""Recognises in what form a path holds a Slack workspace."""

from pathlib import Path

from tools.slack.source import Source


def open_source(path: Path) -> Source:
    """The workspace at `path`: a slackdump archive, dump or chunk files, or a Slack export, directory or zip.

    Never writes there. Raises `SourceError`, with advice, when `path` is none of these or cannot be read.
    """
    raise NotImplementedError
