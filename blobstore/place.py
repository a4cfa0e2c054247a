"""Where bytes live, as the catalogue knows it: places, one of which takes in what is new."""

from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST = 0
"""The id of the place that a store begins with."""

MOVED = "moved"
"""The reason of a copy that a move left behind, or made in vain: it counts for nobody, the blob counts where it is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place for bytes. Its id is never used again, also not after it was forgotten.

    `location` is `file` or `s3://BUCKET/PREFIX`; `options` say how it is reached (endpoint, region), never a secret.
    New bytes go to the `intake`.
    """

    id: int
    location: str
    options: Mapping[str, str] = field(default_factory=dict)
    intake: bool = False


@dataclass(frozen=True, slots=True)
class Contents:
    """Generations of one state in one place, counted. `kept`: those that a move left behind and that are kept still."""

    place: int
    state: str
    kept: bool
    blobs: int
    bytes: int
