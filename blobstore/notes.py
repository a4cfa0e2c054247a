"""The port to small objects beside the blobs, which every machine that uses the place sees: written once each, kept."""

from collections.abc import Iterator
from typing import Protocol


class Notes(Protocol):
    """Small whole objects of a place, by names such as `ledger/0000000001`. Every call blocks; any may run at once.

    Errors: `StorageUnavailable` where the place does not answer, `OutOfSpace` where it is full.
    """

    @property
    def where(self) -> str:
        """The address of the place."""
        ...

    @property
    def exclusive(self) -> bool:
        """Whether of any number who create one at once one alone succeeds. Else the callers see to it."""
        ...

    def read(self, name: str) -> bytes | None:
        """All of it; None where there is none."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Durably there when this returns True. False where the name is taken, which may be by this very call."""
        ...

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """Names in a folder (`ledger/`) that come after `after`, in order of their bytes.

        What was created a moment ago may not be among them.
        """
        ...
