"""What is there of a blob: its generations."""

from dataclasses import dataclass
from enum import StrEnum

from blobstore.backend import ObjectName


class State(StrEnum):
    """What may be done with a generation."""

    LIVE = "live"
    QUARANTINED = "quarantined"  # its bytes do not match; never served; the same bytes uploaded again heal it
    CONDEMNED = "condemned"  # its bytes are being removed; never comes back


@dataclass(frozen=True, slots=True)
class Stored:
    """One generation of a blob. `verified_at`: when its bytes were last hashed.

    `kept_until` (UTC seconds): it was left behind by a move, and its bytes are not removed before. `late_until`: until
    then its bytes may come once more though they were removed, where the backend says that they may (`comes_late`).
    """

    name: ObjectName
    sha256: bytes
    size: int
    state: State
    verified_at: float
    kept_until: float | None = None
    late_until: float | None = None
