"""What the partitions of a shard at rest hold, as the central store keeps it: numbers, and when they last changed."""

import msgspec

from records.model import Partition, PartitionStats
from records.sums import Sums

Stats = dict[Partition, PartitionStats]
AllSums = dict[str, Sums]

_DECODER = msgspec.json.Decoder(tuple[list[tuple[Partition, PartitionStats]], AllSums])


def told(stats: Stats, sums: AllSums) -> bytes:
    """JSON text."""
    return msgspec.json.encode((list(stats.items()), sums))


def heard(holds: bytes) -> tuple[Stats, AllSums]:
    """What was told; nothing is in it but what `PartitionStats` and `Sums` have."""
    stats, sums = _DECODER.decode(holds)
    return dict(stats), sums
