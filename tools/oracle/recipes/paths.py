"""Parts of paths."""

from urllib.parse import quote


def part(text: str) -> str:
    """One part of a path, percent-encoded; lone surrogates as bytes that are no UTF-8."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
