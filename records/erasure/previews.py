"""What an erasure would do: its rows from counters, its blobs batch by batch, in constant memory.

A blob of the target goes when nobody beside has it: no other connector, no claim and no link of the same connector
that the target does not cover. Blobs come from three places, links (of a whole connector, holders), claims and what
the connector let go of earlier; one that is in several counts in the first.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field

from blobstore.catalogue import Catalogue, Share, State
from blobstore.checks import survey
from blobstore.digest import Digest
from blobstore.gc import BATCH
from records.central import Owner
from records.engine import Engine
from records.erasure.report import Covered, Keeper, Kept, Preview, StreamRows
from records.model import Linking, Partition, Target
from records.slots import beginning


@dataclass(slots=True)
class _Tally:
    """Blobs and bytes that go, and that stay."""

    blobs: int = 0
    bytes: int = 0
    kept_blobs: int = 0
    kept_bytes: int = 0
    keepers: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)

    def goes(self, size: int) -> None:
        self.blobs += 1
        self.bytes += size

    def stays(self, size: int, keepers: Collection[tuple[str, str, str]]) -> None:
        self.kept_blobs += 1
        self.kept_bytes += size
        for keeper in keepers:
            counts = self.keepers.setdefault(keeper, [0, 0])
            counts[0] += 1
            counts[1] += size

    def kept(self) -> Kept:
        keepers = [
            Keeper(connector, instance or None, stream or None, *counts)
            for (connector, instance, stream), counts in sorted(self.keepers.items())
        ]
        return Kept(self.kept_blobs, self.kept_bytes, keepers)


class Previews:
    """Tells what erasures would do."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def preview(self, owner: Owner, engine: Engine, covered: Covered) -> Preview:
        """Count what would go and what would stay. What was let go of must have been released before."""
        tally = _Tally()
        if covered.kind == "owner":
            await self._everything(owner, tally)
        elif covered.kind == "connector":
            await self._connector(owner, covered.connector or "", tally)
        else:
            await self._part(owner, engine, covered, tally)
        rows = await _rows(engine, covered)
        return Preview(covered, rows, tally.blobs, tally.bytes, tally.kept())

    async def _everything(self, owner: Owner, tally: _Tally) -> None:
        last: Digest | None = None
        async for page in survey(self._catalogue, owner.id):
            for stored in (standing.stored for standing in page):
                if stored.state is not State.CONDEMNED:
                    tally.blobs += stored.name.digest != last
                    tally.bytes += stored.size
                    last = stored.name.digest

    async def _connector(self, owner: Owner, connector: str, tally: _Tally) -> None:
        """All that the connector holds, claims or let go of."""
        catalogue, everything = self._catalogue, [""]
        async for digests in _pages(lambda after: self._held(owner, connector, after)):
            for share in await catalogue.shares(owner.id, connector, everything, digests):
                _judge(share, [], connector, tally)
        async for digests in _pages(lambda after: catalogue.claimed(owner.id, connector, everything, after, BATCH)):
            for share in await catalogue.shares(owner.id, connector, everything, digests):
                if not share.held:
                    _judge(share, [], connector, tally)
        async for digests in _pages(lambda after: catalogue.former(owner.id, connector, after, BATCH)):
            for share in await catalogue.shares(owner.id, connector, everything, digests):
                if not (share.held or share.covered):
                    _judge(share, [], connector, tally)

    async def _part(self, owner: Owner, engine: Engine, covered: Covered, tally: _Tally) -> None:
        """What an instance, a stream or a record links or claims, and what its connector let go of."""
        connector, target = covered.connector or "", target_of(covered)
        mine = [beginning(instance, covered.stream, covered.key) for instance in covered.instances]
        catalogue = self._catalogue
        after = None
        while links := await engine.first_links(target, after, BATCH):
            async for share, linking in self._seen(owner, engine, target, mine, [each.link.digest for each in links]):
                _judge(share, linking, connector, tally)
            after = links[-1].partition, links[-1].key, links[-1].link.pointer
        async for digests in _pages(lambda after: catalogue.claimed(owner.id, connector, mine, after, BATCH)):
            async for share, linking in self._seen(owner, engine, target, mine, digests):
                if not any(each.within for each in linking):
                    _judge(share, linking, connector, tally)
        async for digests in _pages(lambda after: catalogue.former(owner.id, connector, after, BATCH)):
            async for share, linking in self._seen(owner, engine, target, mine, digests):
                # What the connector has again, but not here, this erasure is not about.
                if not (linking or share.covered or share.scopes):
                    tally.goes(share.size)

    async def _seen(
        self, owner: Owner, engine: Engine, target: Target, mine: Collection[str], digests: Collection[Digest]
    ) -> AsyncIterator[tuple[Share, list[Linking]]]:
        """Each of the blobs that is stored, with who has it."""
        linking: dict[Digest, list[Linking]] = {}
        for each in await engine.linking(target, digests):
            linking.setdefault(each.digest, []).append(each)
        for share in await self._catalogue.shares(owner.id, target.connector, mine, digests):
            yield share, linking.get(share.digest, [])

    async def _held(self, owner: Owner, connector: str, after: Digest | None) -> list[Digest]:
        return [row.digest for row in await self._catalogue.held(owner.id, connector, after, BATCH)]


def target_of(covered: Covered, instance: str | None = None) -> Target:
    """What goes in one connector, of this instance or of all."""
    if instance is None and not covered.everywhere and covered.kind != "connector":
        (instance,) = covered.instances
    return Target(covered.connector or "", instance, covered.stream, covered.key, covered.consent_field)


def _judge(share: Share, linking: Collection[Linking], connector: str, tally: _Tally) -> None:
    keepers = {(other, "", "") for other in share.others}
    keepers |= {(connector, each.partition.instance, each.partition.stream) for each in linking if each.beside}
    keepers |= {(connector, scope, "") for scope in share.scopes}
    if keepers:
        tally.stays(share.size, keepers)
    else:
        tally.goes(share.size)


async def _pages(read: Callable[[Digest | None], Awaitable[list[Digest]]]) -> AsyncIterator[list[Digest]]:
    """Digests in their order, batch by batch."""
    after = None
    while page := await read(after):
        yield page
        after = page[-1]


async def _rows(engine: Engine, covered: Covered) -> list[StreamRows]:
    stats = await engine.stats(covered.connector)
    places = [place for place in stats if _covers(covered, place)]
    counts: dict[tuple[str, str], int] = {}
    for place in places:
        name = place.connector, place.stream
        count = stats[place].records if covered.key is None else len(await engine.get([place], [covered.key]))
        counts[name] = counts.get(name, 0) + count
    # By name: the order of partitions is that of ids that were made at random.
    return [StreamRows(*name, count) for name, count in sorted(counts.items()) if count]


def _covers(covered: Covered, place: Partition) -> bool:
    named = covered.kind in ("connector", "owner") or place.instance in covered.instances
    return named and covered.stream in (None, place.stream)
