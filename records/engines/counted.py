"""Links as databases count them, for each stream of a connector."""

from collections.abc import Iterable

from blobstore.digest import Digest


def by_stream(rows: Iterable[tuple[bytes, str, int]]) -> list[tuple[Digest, dict[str, int]]]:
    """Digest, stream and number of links, as a database has them in the order of digests."""
    counts: dict[bytes, dict[str, int]] = {}
    for digest, stream, links in rows:
        counts.setdefault(digest, {})[stream] = links
    return [(Digest.from_bytes(digest), by) for digest, by in counts.items()]
