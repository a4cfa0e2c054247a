"""What a merge did: every record of the other directory, by what became of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from records.merging.rule import CONFLICTS, Fate
from records.model import Partition


@dataclass(slots=True)
class StreamReport:
    """One stream of one instance, as it is called here. `there` is what the instance is called in the other directory.

    `records` and `tombstones` are those of the other directory; `fates` count what became of them. `skipped`: no
    manifest declares the stream any more. `refused`: the store did not take them; `problems` says why, the first few.
    """

    place: Partition
    there: str
    records: int = 0
    tombstones: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    skipped: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def conflicts(self) -> int:
        """Keys that both directories had, and not the same."""
        return sum(self.fates[fate] for fate in CONFLICTS)

    @property
    def accounted(self) -> bool:
        """Whether each record and tombstone has exactly one fate."""
        return self.records + self.tombstones == self.fates.total() + self.skipped + self.refused

    def row(self, owner: str) -> Mapping[str, object]:
        """The line of a report."""
        return {
            "owner": owner,
            "connector": self.place.connector,
            "instance": self.place.instance,
            "instance_there": self.there,
            "stream": self.place.stream,
            "records": self.records,
            "tombstones": self.tombstones,
            **{fate.value: self.fates[fate] for fate in Fate},
            "skipped": self.skipped,
            "refused": self.refused,
        }


@dataclass(slots=True)
class Merged:
    """What became of one owner's data. `blobs` were not here yet; `claims` are uploads whose records have not come.

    `states` by what became of them; `manifests` of connectors that were registered anew from the other directory.
    """

    owner: str
    streams: list[StreamReport] = field(default_factory=list)
    blobs: int = 0
    claims: int = 0
    states: Counter[Fate] = field(default_factory=Counter)
    manifests: list[str] = field(default_factory=list)

    @property
    def conflicts(self) -> int:
        """Of all streams."""
        return sum(each.conflicts for each in self.streams)

    @property
    def refused(self) -> int:
        """Of all streams."""
        return sum(each.refused for each in self.streams)

    @property
    def erased(self) -> int:
        """Records and tombstones of all streams that stay out, for they were erased here."""
        return sum(each.fates[Fate.ERASED] for each in self.streams)

    def rows(self) -> Sequence[Mapping[str, object]]:
        """The report, stream by stream."""
        return [each.row(self.owner) for each in self.streams]
