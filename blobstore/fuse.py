"""The fuse of the garbage lane: where a collection would remove suspiciously much it removes nothing, and says so.

The worst losses of stores like this one came from collecting by a wrong or stale set of references. Such a set looks
like much garbage at once. Whoever has looked, and wants it gone, collects with a larger share. Erasures have no fuse:
they remove what somebody asked to be removed.
"""

from dataclasses import dataclass

from blobstore.catalogue import Forecast
from blobstore.errors import FuseBlown

MAX_SHARE = 0.5
MIN_BLOBS = 100
MIN_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Fuse:
    """Blows where more than `max_share` (0 to 1) of all stored bytes would go.

    Not where both fewer than `min_blobs` and fewer than `min_bytes` would: of a small store half is soon garbage.
    """

    max_share: float = MAX_SHARE
    min_blobs: int = MIN_BLOBS
    min_bytes: int = MIN_BYTES

    def check(self, forecast: Forecast) -> None:
        """Raise `FuseBlown` where it blows."""
        if forecast.blobs < self.min_blobs and forecast.bytes < self.min_bytes:
            return
        if forecast.bytes > self.max_share * forecast.stored:
            raise FuseBlown(
                f"{forecast.blobs} blobs with {forecast.bytes} of all {forecast.stored} bytes would go, more than"
                f" {self.max_share:.0%}; nothing was: look at what would go, check that no records are missing, and"
                " collect with a larger share if all of it is garbage"
            )
