"""Quotas: how many bytes a namespace, or one holder in it, may keep; pure rules, no I/O.

What counts is what takes room: for a namespace every generation until it is buried, each once, whoever holds it; for a
holder every blob that it holds or claims. To both come the bytes that uploads under way have reserved, and what the
layer above keeps beside blobs. A body is staged whole before anyone knows whether its bytes are stored already, so it
needs room for all of them while it is on its way; once it is in, publishing or claiming it never fails for a quota.
"""

from dataclasses import dataclass

from blobstore.errors import LargerThanQuota, OverQuota

EVERY = "*"
"""In a limit: each namespace, or each holder, that has no limit of its own."""

WHOLE = ""
"""In place of a holder: the namespace as a whole."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The most bytes that `holder` (`EVERY`, `WHOLE`) may keep in `namespace` (`EVERY`). None: any number.

    The limit that names most counts alone: holder and namespace, then the namespace, then the holder.
    """

    namespace: str
    holder: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Volume:
    """What a namespace (`holder` is `WHOLE`) or a holder has stored and reserved, in bytes, and its limit."""

    namespace: str
    holder: str
    stored: int
    reserved: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """Bytes that count, too, and that only the layer above knows: the namespace's, and the holder's part of them."""

    namespace: int = 0
    holder: int = 0

    def of(self, holder: str) -> int:
        """Those that count for a volume of this holder. Raises `Uncounted` where nobody has counted them."""
        if self is UNCOUNTED:
            raise Uncounted("what is kept beside blobs must be counted")
        return self.namespace if holder == WHOLE else self.holder


NOTHING_BESIDE = Beside()

UNCOUNTED = Beside(-1, -1)
"""To count costs something: this is said first, and where there is a limit it is asked again with what there is."""


class Uncounted(Exception):
    """A limit applies, and it is not known what is kept beside blobs."""


def require_room(volume: Volume, more: int, beside: Beside) -> None:
    """Raise `OverQuota` where so many bytes more do not fit, `Uncounted`. Whoever asks for none is never refused."""
    if volume.limit is None or more <= 0:
        return
    used = volume.stored + volume.reserved + beside.of(volume.holder)
    if used + more > volume.limit:
        raise OverQuota(
            f"the quota {_of(volume)} is {volume.limit} bytes, of which {used} are used or reserved by uploads under"
            f" way, and this needs {more} more; erase what is not needed, or ask the operator for a larger quota"
        )


def require_possible(volume: Volume, size: int) -> None:
    """Raise `LargerThanQuota` where one upload of so many bytes would not even fit alone."""
    if volume.limit is not None and size > volume.limit:
        raise LargerThanQuota(
            f"the quota {_of(volume)} is {volume.limit} bytes: an upload of {size} bytes can never fit;"
            " ask the operator for a larger quota"
        )


def _of(volume: Volume) -> str:
    return "of everything together" if volume.holder == WHOLE else "of this source"
