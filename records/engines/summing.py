"""What a transaction changes of a stream's sums, gathered without I/O, for engines that keep sums in tables.

Links and months only add up. Whether a blob is linked at all has to be looked up: of those that some record comes to
link before the links are added, of those that lost a link after all is done.
"""

from collections.abc import Iterable, Mapping

from blobstore.digest import Digest
from records.model import Link
from records.sums import Linked, Monthly, Sums, month_of

Sized = tuple[Digest, int]
"""A blob that is linked, and its size in bytes."""


class Change:
    """Records of one stream that come and go; none that goes came with the same change."""

    def __init__(self) -> None:
        self.months: dict[str, list[int]] = {}
        """Records, bytes and sizes of links that each month has more."""
        self.links = 0
        self.linked = 0
        self._went: dict[Digest, int] = {}
        self._came: dict[Digest, int] = {}

    def come(self, emitted_at: str, size: int, links: Iterable[Link] = ()) -> None:
        """A record with so many bytes is there from now on."""
        self._add(emitted_at, 1, size, self.link(links))

    def go(self, emitted_at: str, size: int, links: Iterable[Sized] = ()) -> None:
        """A record with so many bytes, which was there before, is not there any more."""
        self._add(emitted_at, -1, -size, -self.unlink(links))

    def relinked(self, emitted_at: str, links: Iterable[Link], before: Iterable[Sized]) -> None:
        """A record that stays has other links."""
        self._add(emitted_at, 0, 0, self.link(links) - self.unlink(before))

    def link(self, links: Iterable[Link]) -> int:
        """These are linked; the sum of their sizes."""
        linked = 0
        for each in links:
            self._came[each.digest] = each.size
            self.links += 1
            linked += each.size
        self.linked += linked
        return linked

    def unlink(self, links: Iterable[Sized]) -> int:
        """These links go; the sum of their sizes."""
        linked = 0
        for digest, size in links:
            self._went[digest] = size
            self.links -= 1
            linked += size
        self.linked -= linked
        return linked

    @property
    def shrinks(self) -> bool:
        """Whether a month may be left with nothing."""
        return any(records < 0 for records, *_ in self.months.values())

    @property
    def links_change(self) -> bool:
        """Whether anything is to be looked up."""
        return bool(self._went or self._came)

    @property
    def fresh(self) -> list[Digest]:
        """Blobs that may not have been linked before."""
        return [digest for digest in self._came if digest not in self._went]

    @property
    def lost(self) -> list[Digest]:
        """Blobs that may not be linked any more."""
        return [digest for digest in self._went if digest not in self._came]

    def blobs(self, fresh: Iterable[Digest], lost: Iterable[Digest]) -> tuple[int, int]:
        """How many blobs and bytes more are linked, where these were not linked before and those are not after."""
        come = [self._came[digest] for digest in fresh]
        gone = [self._went[digest] for digest in lost]
        return len(come) - len(gone), sum(come) - sum(gone)

    def _add(self, emitted_at: str, records: int, size: int, linked: int) -> None:
        month = self.months.setdefault(month_of(emitted_at), [0, 0, 0])
        month[0] += records
        month[1] += size
        month[2] += linked


def by_connector(
    linked: Iterable[tuple[str, str, int, int, int, int]], months: Iterable[tuple[str, str, int, int, int]]
) -> dict[str, Sums]:
    """Rows of tables as sums: connector, stream (blank: in all its streams) or month, and numbers."""
    streams: dict[str, dict[str, Linked]] = {}
    monthly: dict[str, dict[str, Monthly]] = {}
    for connector, month, *counts in months:
        monthly.setdefault(connector, {})[month] = Monthly(*counts)
    for connector, stream, *counts in linked:
        streams.setdefault(connector, {})[stream] = Linked(*counts)
    return {
        connector: _sums(streams.get(connector, {}), monthly.get(connector, {}))
        for connector in sorted({*streams, *monthly})
    }


def _sums(streams: Mapping[str, Linked], months: Mapping[str, Monthly]) -> Sums:
    whole = streams.get("")
    blobs, size = (0, 0) if whole is None else (whole.blobs, whole.blob_bytes)
    return Sums(
        blobs,
        size,
        {name: streams[name] for name in sorted(streams) if name},
        {month: months[month] for month in sorted(months)},
    )
