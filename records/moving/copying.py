"""A copy of a connector, made in pieces while its source is written to."""

from records.engine import Engine
from records.transfer import Piece, taking

ITEMS = 2000
"""Rows in one piece, about: writers of either engine go on between two."""

BYTES = 8 << 20
"""Bytes in one piece, about; one record may be larger."""

DISCARDED = 5000
"""Rows that go in one transaction."""


async def copy_piece(
    source: Engine, target: Engine, connector: str, origin: str, *, items: int = ITEMS, max_bytes: int = BYTES
) -> Piece | None:
    """Take the copy one piece further: the piece, whose `whole` says whether it was the last for now.

    How far the copy is stands in the target alone, so whoever comes after a crash goes on with it. None where it was
    thrown away, to begin again: something changed of which versions do not tell. `origin` is the source's name.
    """
    copied = await target.regardless().stats(connector)
    since = {place: of.version for place, of in copied.items()}
    piece = await source.extract(connector, since, taking(since, items, max_bytes))
    if await target.load(origin, piece):
        return piece
    await throw_away(target, connector, piece.state.disturbances)
    return None


async def throw_away(engine: Engine, connector: str, disturbances: int = 0) -> None:
    """Discard all that the engine has of a connector that it does not serve."""
    while not await engine.discard(connector, disturbances, DISCARDED):
        pass
