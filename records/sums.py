"""Sums over what a connector keeps, so that nobody goes through records to say how much there is."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from records import times


class Linked(msgspec.Struct, frozen=True, gc=False):
    """What a stream's records link, in all instances: each link with the size of its blob, and each blob once."""

    links: int
    bytes: int
    blobs: int
    blob_bytes: int


class Monthly(msgspec.Struct, frozen=True, gc=False):
    """The records that were emitted in a month and are there: bytes of JSON text, and the sizes of all their links."""

    records: int
    bytes: int
    linked: int


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one connector: blobs that it links, each counted once; what each stream links; records by month (UTC).

    Streams without a link and months without a record are left out; sizes in bytes.
    """

    blobs: int
    blob_bytes: int
    streams: Mapping[str, Linked]
    months: Mapping[str, Monthly]

    def __len__(self) -> int:
        """How many sums there are."""
        return 1 + len(self.streams) + len(self.months)


def month_of(emitted_at: str) -> str:
    """The month, such as `2026-11`, in UTC, of a time as it came."""
    if emitted_at[-1:] not in "Zz":
        with suppress(ValueError):  # what no line can bring: it counts in the month that it begins with
            emitted_at = times.text(times.parse(emitted_at))
    return emitted_at[:7]
