"""Writing over shards: what is asked of a connector, and its links, goes to its shard."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

from blobstore.digest import Digest
from records.engine import Engine
from records.engines.sharded.events import Events
from records.engines.sharded.reads import Reads
from records.engines.sharded.shard import Shard
from records.engines.sharded.telling import Stats
from records.errors import Partly, SourceDown
from records.model import Batch, Link, Linking, Outcome, Partition, PlacedLink, Target
from records.shards import Home

NOTE_BITS = 64
"""Of the number of a note, which is that of its shard; the others are the shard's, so that no two are the same."""


class Writes(Reads, Events):
    """The parts of the port that write records and that ask for one connector's links."""

    async def epoch(self, partition: Partition) -> int:
        return await self._ask(partition.connector, lambda engine: engine.epoch(partition))

    async def release_epoch(self, connector: str) -> int:
        return await self._ask(connector, lambda engine: engine.release_epoch(connector))

    async def apply(self, batch: Batch) -> list[Outcome]:
        return await self._tell(batch.partition.connector, lambda engine: engine.apply(batch))

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        return await self._tell(
            partition.connector, lambda engine: engine.relink(partition, key, version, links, release_epoch)
        )

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        return await self._tell(connector, lambda engine: engine.recount(connector, digests))

    # -- links -----------------------------------------------------------------------------------------------------

    async def links_of(
        self,
        digest: Digest,
        after: tuple[Partition, str, str] | None = None,
        limit: int = 100,
        *,
        connector: str | None = None,
    ) -> list[PlacedLink]:
        if connector is not None:
            return await self._ask(connector, lambda engine: engine.links_of(digest, after, limit, connector=connector))
        found: list[PlacedLink] = []
        for each in sorted(_linking(await self.stats())):
            if after is not None and each < after[0].connector:
                continue

            found += await self._ask(each, partial(_links_of, digest, after, limit - len(found)))
            if len(found) == limit:
                break
        return found

    async def linkers(self, digests: Collection[Digest]) -> dict[Digest, str]:
        found: dict[Digest, str] = {}
        stats, unknown = await self._stats()
        answers, silent = await self._ask_some(_linking(stats), lambda _, engine: engine.linkers(digests))
        for connector in sorted(answers):
            for digest in answers[connector]:
                found.setdefault(digest, connector)
        if unknown or silent:
            raise Partly(found, unknown.keys() | silent.keys())
        return found

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        return await self._ask(partition.connector, lambda engine: engine.links_in(partition, key))

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, dict[str, int]]]:
        return await self._ask(connector, lambda engine: engine.linked(connector, after, limit))

    async def first_links(
        self, target: Target, after: tuple[Partition, str, str] | None, limit: int
    ) -> list[PlacedLink]:
        return await self._ask(target.connector, lambda engine: engine.first_links(target, after, limit))

    async def linking(self, target: Target, digests: Collection[Digest]) -> list[Linking]:
        return await self._ask(target.connector, lambda engine: engine.linking(target, digests))

    # -- notes -----------------------------------------------------------------------------------------------------

    async def unlinked(self, limit: int, connector: str | None = None) -> list[tuple[str, Digest]]:
        found: list[tuple[str, Digest]] = []
        homes = await self._homes.now()
        if connector is not None:
            return await self._ask(connector, lambda engine: engine.unlinked(limit, connector))
        for each in sorted({*homes, *await self._main.connectors()}):
            if each not in homes:
                found += await self._main.regardless().unlinked(limit - len(found), each)
            elif _may_have_notes(homes[each]):
                with suppress(SourceDown):  # what it holds stays; the others' garbage does not wait for it
                    found += await self._noted(each, homes[each], limit - len(found))
            if len(found) == limit:
                break
        return found

    async def _noted(self, connector: str, home: Home, limit: int) -> list[tuple[str, Digest]]:
        found = await self._ask(connector, lambda engine: engine.regardless().unlinked(limit))
        if not found and home.left is not None:
            await self._rest(connector, home)  # they are forgotten: nobody needs to ask for them again
        return found

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        return await self._ask(connector, partial(_notes, connector, digests))

    async def forget_notes(self, notes: Collection[int]) -> None:
        shards: dict[int, list[int]] = {}
        for note in notes:
            shards.setdefault(note >> NOTE_BITS, []).append(note & ((1 << NOTE_BITS) - 1))
        if 0 in shards:
            await self._main.forget_notes(shards[0])
        for connector, home in (await self._homes.now()).items():
            mine = shards.get(int(home.shard, 16), [])
            if mine:
                await self._ask(connector, partial(_forget_notes, mine))


async def _notes(connector: str, digests: Collection[Digest], engine: Engine) -> list[int]:
    """Numbered so that those of two shards are never the same."""
    numbers = await engine.notes(connector, digests)
    shard = int(engine.path.stem, 16) if isinstance(engine, Shard) else 0
    return [shard << NOTE_BITS | number for number in numbers]


async def _forget_notes(notes: Sequence[int], engine: Engine) -> None:
    await engine.forget_notes(notes)


async def _links_of(
    digest: Digest, after: tuple[Partition, str, str] | None, limit: int, engine: Engine
) -> list[PlacedLink]:
    return await engine.regardless().links_of(digest, after, limit)


def _linking(stats: Stats) -> set[str]:
    """The connectors that link anything."""
    return {place.connector for place, of in stats.items() if of.links}


def _may_have_notes(home: Home) -> bool:
    return home.left is None or home.left.notes
