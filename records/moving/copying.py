"""A copy of a connector, made in pieces while its source is written to."""

import asyncio

from records.engine import Engine
from records.transfer import Piece, taking

ITEMS = 2000
"""Rows in one piece, about: writers of either engine go on between two."""

BYTES = 8 << 20
"""Bytes in one piece, about; one record may be larger."""

DISCARDED = 2500
"""Rows that go in one transaction."""

GAP = 0.1
"""Seconds between two of them. SQLite has no queue: who waits for a file's write lock looks for it again and again, at
last every 0.1 s, and would not get it for seconds while one process takes it anew the moment that it has given it up.
"""


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
    """Discard all that the engine has of a connector that it does not serve, and let others write in between."""
    while True:
        if await engine.discard(connector, disturbances, DISCARDED):
            return
        await asyncio.sleep(GAP)
