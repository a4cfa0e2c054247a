"""What the engine and the catalogue know of each blob of an owner, side by side, in constant memory.

Both tell it in the order of digests, so it is a merge: of the links of each connector, of what each connector holds,
and of the generations that are stored.
"""

import heapq
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from blobstore.catalogue import Catalogue, Holder, Standing, State
from blobstore.checks import survey
from blobstore.digest import Digest
from records.central import Owner
from records.engine import Engine

AT_HAND = 20_000
PIECE = 200
"""Rows that are read at once: of all streams together, but so many of each at the least."""


@dataclass(frozen=True, slots=True)
class _Linked:
    connector: str
    links: dict[str, int]


_Row = _Linked | Holder | Standing


@dataclass(slots=True)
class Account:
    """One blob: how often each connector links it in each stream, who holds it, and its generations in any state."""

    digest: Digest
    links: dict[str, dict[str, int]] = field(default_factory=dict)
    held: dict[str, Holder] = field(default_factory=dict)
    standings: list[Standing] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether there is a generation that is not on its way out."""
        return any(each.stored.state is not State.CONDEMNED for each in self.standings)

    @property
    def size(self) -> int:
        """Length in bytes; 0 when nothing is known of it."""
        return max((each.stored.size for each in self.standings), default=0)

    def add(self, row: _Row) -> None:
        """Enter what one stream says of the blob."""
        match row:
            case _Linked():
                self.links[row.connector] = row.links
            case Holder():
                self.held[row.holder] = row
            case Standing():
                self.standings.append(row)


async def accounts(owner: Owner, engine: Engine, catalogue: Catalogue) -> AsyncIterator[Account]:
    """Every blob that the owner's records link, that is held for the owner or stored, in the order of digests.

    What changes meanwhile may be seen in one place and
    not in another.
    """
    linking = {partition.connector for partition in await engine.stats()}
    holding = linking | {holder for namespace, holder in await catalogue.parties() if namespace == owner.id}
    piece = max(PIECE, AT_HAND // (len(linking) + len(holding) + 1))
    streams = [_linked(engine, connector, piece) for connector in sorted(linking)]
    streams += [_held(catalogue, owner.id, connector, piece) for connector in sorted(holding)]
    streams.append(_stored(catalogue, owner.id))
    cursors = [_Cursor(stream) for stream in streams]
    heads: list[tuple[Digest, int, _Row]] = []
    for number, cursor in enumerate(cursors):
        if (first := await cursor.next()) is not None:
            heads.append((first[0], number, first[1]))
    heapq.heapify(heads)
    account: Account | None = None
    while heads:
        digest, number, row = heads[0]
        if account is None or account.digest != digest:
            if account is not None:
                yield account
            account = Account(digest)
        account.add(row)
        # One row of each at a time, so (digest, number) never ties.
        if (following := await cursors[number].next()) is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following[0], number, following[1]))
    if account is not None:
        yield account


_Piece = Sequence[tuple[Digest, _Row]]
_Stream = AsyncIterator[_Piece]


class _Cursor:
    """Goes along a stream of pieces, none of which is empty, row by row."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._piece: Iterator[tuple[Digest, _Row]] = iter(())

    async def next(self) -> tuple[Digest, _Row] | None:
        for row in self._piece:
            return row
        async for piece in self._stream:
            self._piece = iter(piece)
            return next(self._piece)
        return None


async def _linked(engine: Engine, connector: str, piece: int) -> _Stream:
    after = None
    while page := await engine.linked(connector, after, piece):
        yield [(digest, _Linked(connector, links)) for digest, links in page]
        after = page[-1][0]


async def _held(catalogue: Catalogue, namespace: str, connector: str, piece: int) -> _Stream:
    after = None
    while page := await catalogue.held(namespace, connector, after, piece):
        yield [(holder.digest, holder) for holder in page]
        after = page[-1].digest


async def _stored(catalogue: Catalogue, namespace: str) -> _Stream:
    async for page in survey(catalogue, namespace):
        yield [(standing.stored.name.digest, standing) for standing in page]
