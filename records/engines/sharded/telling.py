"""What the partitions of a shard at rest hold, as the central store keeps it: numbers, and when they last changed."""

import msgspec

from records.model import Partition, PartitionStats

Stats = dict[Partition, PartitionStats]

_DECODER = msgspec.json.Decoder(list[tuple[Partition, PartitionStats]])


def told(stats: Stats) -> bytes:
    """JSON text."""
    return msgspec.json.encode(list(stats.items()))


def heard(holds: bytes) -> Stats:
    """What was told; nothing of a partition is in it but what `PartitionStats` has."""
    return dict(_DECODER.decode(holds))
