"""One connector from one engine into another: copied, checked, left, and served at the other end.

Who writes waits for nothing but the switch, and who reads for nothing. Whatever happens, the connector is served in
one place alone, which `flip` decides: before it a mark in the source can be taken away and all is as it was; after it
the mark of the copy can, and all is done. `records.moving.marks` does either for a mover that died.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from blobstore.errors import StorageUnavailable
from records.engine import Engine
from records.model import Partition, PartitionStats
from records.moving.checking import Checked, check_copy
from records.moving.copying import copy_piece, throw_away
from records.transfer import Mark, Stage, taking

Told = Callable[[int], None]
"""Takes rows as they are copied."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a connector moves from and to, and what each end is called in the other's mark."""

    source: Engine
    target: Engine
    origin: str
    to: str


@dataclass(frozen=True, slots=True)
class Switched:
    """A connector that moved: what was checked, by stream, and how long (seconds) its writers waited."""

    connector: str
    checked: Mapping[Partition, Checked]
    paused: float


async def switch(ends: Ends, connector: str, flip: Callable[[], Awaitable[None]], told: Told) -> Switched:
    """Move it; may be called again after a crash at any point before the flip, with the same ends.

    `flip` makes the target the connector's home. What the source still has is the caller's to remove. Raises
    `Differs`, and whatever keeps it from going on: before the flip the connector goes on where it is.
    """
    while True:
        await ends.source.mark(Mark(connector, Stage.LEAVING, ends.to))
        disturbances = await catch_up(ends, connector, told)
        checked = await check_copy(ends.source, ends.target, connector, disturbances)
        if checked is None:
            continue
        await catch_up(ends, connector, told)
        begun = time.monotonic()
        if not await left(ends, connector):
            continue
        await flip()  # if it fails, nobody here knows whether it was done: the marks stay until somebody does
        await ends.target.unmark(connector)
        return Switched(connector, checked, time.monotonic() - begun)


async def left(ends: Ends, connector: str) -> bool:
    """Leave the source, and have in the target all that it had; False where an erasure came in between: it goes on
    there, and has to be copied anew.
    """
    since = {place: of.version for place, of in (await ends.target.regardless().stats(connector)).items()}
    done = False
    try:
        last = await ends.source.leave(connector, ends.to, since, taking(since))
        if await ends.target.load(ends.origin, last):
            await _require_same(ends.target, connector, last.state.partitions)
            done = True
            return True
    finally:
        if not done:
            await ends.source.mark(Mark(connector, Stage.LEAVING, ends.to))
    await throw_away(ends.target, connector, last.state.disturbances)
    return False


async def catch_up(ends: Ends, connector: str, told: Told) -> int:
    """Copy until no more than a piece is left; how many disturbances the copy knows of."""
    while True:
        piece = await copy_piece(ends.source, ends.target, connector, ends.origin)
        if piece is not None:
            told(len(piece.items))
            if piece.whole:
                return piece.state.disturbances


async def _require_same(target: Engine, connector: str, expected: Mapping[Partition, PartitionStats]) -> None:
    """Every counter is what it is at the source, which stands still. Raises `StorageUnavailable`."""
    copied = await target.regardless().stats(connector)
    for place, of in expected.items():
        if copied.get(place) != of:
            raise StorageUnavailable(f"the copy of {place.instance}/{place.stream} counts other than its source")
