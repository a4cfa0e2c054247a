"""Tables of Markdown."""

import html
import re
from collections.abc import Iterator, Sequence

_MEANS_SOMETHING = re.compile(r"[|*_`\[\]\\~]")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Its lines and an empty one; nothing where it would have no row."""
    if not rows:
        return
    for row in (heads, ("---",) * len(heads), *rows):
        yield "| " + " | ".join(map(_cell, row)) + " |"
    yield ""


def _cell(text: str) -> str:
    text = re.sub(r"`([^`]*\|[^`]*)`", lambda found: code(found[1]), text)
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """Any text as code, in a table: in HTML where Markdown has no form for it that all its readers understand."""
    if not set(text) & set("|`"):
        return f"`{text}`"
    return f"<code>{_MEANS_SOMETHING.sub(lambda found: f'&#{ord(found[0])};', html.escape(text))}</code>"
