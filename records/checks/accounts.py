"""What the engine and the catalogue know of each blob of an owner, side by side, in constant memory.

Both tell it in the order of digests, so it is a merge: of the links of each connector, of what each connector holds,
and of the generations that are stored.
"""

import heapq
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from blobstore.catalogue import Catalogue, Holder, Standing, State
from blobstore.checks import survey
from blobstore.digest import Digest
from records.central import Owner
from records.engine import Engine

PIECE = 200
"""Rows that are read at once of each stream: there are two streams per connector."""


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

    What changes meanwhile may be seen in one place and not in another.
    """
    linking = {partition.connector for partition in await engine.stats()}
    holding = {holder for namespace, holder in await catalogue.parties() if namespace == owner.id}
    streams = [_linked(engine, connector) for connector in sorted(linking)]
    streams += [_held(catalogue, owner.id, connector) for connector in sorted(linking | holding)]
    streams.append(_stored(catalogue, owner.id))
    account: Account | None = None
    async for digest, row in _merged(streams):
        if account is None or account.digest != digest:
            if account is not None:
                yield account
            account = Account(digest)
        account.add(row)
    if account is not None:
        yield account


_Stream = AsyncIterator[tuple[Digest, _Row]]


async def _linked(engine: Engine, connector: str) -> _Stream:
    after = None
    while page := await engine.linked(connector, after, PIECE):
        for digest, links in page:
            yield digest, _Linked(connector, links)
        after = page[-1][0]


async def _held(catalogue: Catalogue, namespace: str, connector: str) -> _Stream:
    after = None
    while page := await catalogue.held(namespace, connector, after, PIECE):
        for holder in page:
            yield holder.digest, holder
        after = page[-1].digest


async def _stored(catalogue: Catalogue, namespace: str) -> _Stream:
    async for page in survey(catalogue, namespace):
        for standing in page:
            yield standing.stored.name.digest, standing


async def _merged(streams: Sequence[_Stream]) -> _Stream:
    """All rows of ordered streams in one order."""
    heads: list[tuple[Digest, int, _Row]] = []
    for number, stream in enumerate(streams):
        await _push(heads, number, stream)
    while heads:
        digest, number, row = heapq.heappop(heads)
        yield digest, row
        await _push(heads, number, streams[number])


async def _push(heads: list[tuple[Digest, int, _Row]], number: int, stream: _Stream) -> None:
    # A stream has one row at a time in the heap, so (digest, number) never ties.
    row = await anext(stream, None)
    if row is not None:
        heapq.heappush(heads, (row[0], number, row[1]))
