"""Is a copy what its source is? Held against it record by record, in pieces, while the source is written to.

The copy stands still while it is checked, at the versions it has come to; the source goes on. So what the source has
up to there must be in the copy, byte for byte. What only the copy has was superseded since, or is wrong: what was
superseded goes with a later piece, and what is wrong shows in the counts, which must be equal in the end
(`moving.switching`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from records.engine import Engine
from records.model import Partition
from records.moving.copying import BYTES, ITEMS
from records.transfer import Held, Item, State, taking


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found the same on both sides of one stream: how many records, and a digest over all there is of it."""

    records: int
    digest: str


class Differs(Exception):
    """The copy is not what its source is; the message says where, without content."""


async def check_copy(
    source: Engine, target: Engine, connector: str, disturbances: int
) -> dict[Partition, Checked] | None:
    """Every stream of the copy, as it was found on both sides. Raises `Differs`.

    None where there were more than so many `disturbances`: the copy has to be begun again.
    """
    come = {place: of.version for place, of in (await target.regardless().stats(connector)).items()}
    sums, counts = {place: hashlib.blake2b(digest_size=16) for place in come}, dict.fromkeys(come, 0)
    since: dict[Partition, int] = {}
    whole = False
    while not whole:
        piece = await source.extract(connector, since, taking(since, ITEMS, BYTES))
        if piece.state.disturbances != disturbances:
            return None
        whole = piece.whole
        expected = {
            _place(each): _fingerprint(each) for each in piece.items if each.version <= come.get(each.partition, 0)
        }
        missing = await target.extract(connector, since, partial(_missing, expected))
        if missing:
            return await _explained(source, connector, disturbances, missing)
        for each in piece.items:
            if _place(each) in expected:
                sums[each.partition].update(expected[_place(each)])
                counts[each.partition] += isinstance(each, Held)
        since = {**since, **piece.reached}
    return {place: Checked(counts[place], sums[place].hexdigest()) for place in sorted(come)}


_Place = tuple[Partition, int, type]


def _place(item: Item) -> _Place:
    return item.partition, item.version, type(item)


def _fingerprint(item: Item) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(item), digest_size=16).digest()


def _missing(expected: Mapping[_Place, bytes], _: State, items: Iterable[Item]) -> dict[Partition, int]:
    """How many of what is expected the copy has not, or has otherwise."""
    left = dict(expected)
    for item in items:
        if not left:
            break
        if left.get(_place(item)) == _fingerprint(item):
            del left[_place(item)]
    counts: defaultdict[Partition, int] = defaultdict(int)
    for partition, *_rest in left:
        counts[partition] += 1
    return counts


async def _explained(
    source: Engine, connector: str, disturbances: int, missing: Mapping[Partition, int]
) -> dict[Partition, Checked] | None:
    """None where something was disturbed between the two looks. Raises `Differs` else."""
    now = await source.extract(connector, {}, lambda state, _: state)
    if now.disturbances != disturbances:
        return None
    place = min(missing)
    raise Differs(f"the copy of {place.instance}/{place.stream} lacks {missing[place]} rows of its source")
