"""What a transaction changes of a stream's sums, gathered without I/O, for engines that keep sums in tables.

Links and months only add up. Whether a blob is linked at all has to be looked up: of those that some record comes to
link before the links are added, of those that lost a link after all is done.
"""

from collections.abc import Iterable, Mapping, Sequence

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
        # By their bytes: the hash of a digest costs as much as a lookup in a table.
        self._went: dict[bytes, int] = {}
        self._came: dict[bytes, int] = {}

    def come(self, records: Iterable[tuple[str, int, Sequence[Link]]]) -> None:
        """Records, each with its time, its bytes and its links, are there from now on. They are many."""
        month, ends = "", "Zz"
        count = total = linked = 0
        for emitted_at, size, links in records:
            of = emitted_at[:7] if emitted_at[-1:] in ends else month_of(emitted_at)
            if of != month:
                self._add(month, count, total, linked)
                month, count, total, linked = of, 0, 0, 0
            count += 1
            total += size
            if links:
                linked += self.link(links)
        self._add(month, count, total, linked)

    def go(self, emitted_at: str, size: int, links: Iterable[Sized] = ()) -> None:
        """A record with so many bytes, which was there before, is not there any more."""
        self._add(month_of(emitted_at), -1, -size, -self.unlink(links))

    def relinked(self, emitted_at: str, links: Iterable[Link], before: Iterable[Sized]) -> None:
        """A record that stays has other links."""
        self._add(month_of(emitted_at), 0, 0, self.link(links) - self.unlink(before))

    def link(self, links: Iterable[Link]) -> int:
        """These are linked; the sum of their sizes."""
        linked = 0
        for each in links:
            self._came[each.digest.raw] = each.size
            self.links += 1
            linked += each.size
        self.linked += linked
        return linked

    def unlink(self, links: Iterable[Sized]) -> int:
        """These links go; the sum of their sizes."""
        linked = 0
        for digest, size in links:
            self._went[digest.raw] = size
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
    def fresh(self) -> list[bytes]:
        """Digests of blobs that may not have been linked before."""
        return [digest for digest in self._came if digest not in self._went] if self._went else list(self._came)

    @property
    def lost(self) -> list[bytes]:
        """Digests of blobs that may not be linked any more."""
        return [digest for digest in self._went if digest not in self._came]

    def blobs(self, fresh: Iterable[bytes], lost: Iterable[bytes]) -> tuple[int, int]:
        """How many blobs and bytes more are linked, where these were not linked before and those are not after."""
        come = [self._came[digest] for digest in fresh]
        gone = [self._went[digest] for digest in lost]
        return len(come) - len(gone), sum(come) - sum(gone)

    def _add(self, month: str, records: int, size: int, linked: int) -> None:
        if records or linked:
            of = self.months.setdefault(month, [0, 0, 0])
            of[:] = [of[0] + records, of[1] + size, of[2] + linked]


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
