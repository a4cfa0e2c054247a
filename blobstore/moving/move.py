"""Moving a store: copied ahead, caught up with, checked, switched."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

from blobstore.errors import StorageUnavailable
from blobstore.moving.section import Copied, Row, Section, Sum, sum_of
from blobstore.moving.sides import Change, Reading, Source, Taking, Target

PAGE = 5000
"""Rows in one step."""

FEW = 500
"""Changes after which one more pass would hardly find fewer."""

LAST = 5000
"""Changes that writers are kept waiting for at most."""

MANY = 1_000_000
"""Changes that may come while everything is checked."""

PASSES = 1000
"""Times to catch up before the switch has to do with more than that."""

PATIENCE = 600.0
"""Seconds to wait for a moment at which the store may leave."""

PAUSE = 0.1
"""Seconds between two looks whether it may."""

Ready = Callable[[Reading], Awaitable[bool]]
"""Asked while nobody writes: may the store leave at this moment?"""


class Differs(StorageUnavailable):
    """The copy is not what its source is; nothing was switched."""


async def always(_: Reading) -> bool:
    """It may."""
    return True


async def move(
    source: Source, target: Target, sections: Sequence[Section], place: str, ready: Ready = always
) -> list[Copied]:
    """Move the store to `target`, which is called `place`; what was found the same on both sides, by section.

    Where it has moved already, only what a mover left to do is done, and nothing is told. Raises `Differs`,
    `WrongStore`, `StorageUnavailable`; then the store is where it was, unless the source says otherwise.
    """
    if await source.moved() is not None:
        await target.arrived()
        return []
    await target.prepare()
    await source.watch()
    try:
        copied = await _Move(source, target, sections).run(place, ready)
    except BaseException:
        if await source.moved() is None:
            await source.unwatch()
        raise
    await target.arrived()
    return copied


class _Move:
    def __init__(self, source: Source, target: Target, sections: Sequence[Section]) -> None:
        self._source = source
        self._target = target
        self._ahead = {each.name: each for each in sections if each.ahead}
        self._last = [each for each in sections if not each.ahead]

    async def run(self, place: str, ready: Ready) -> list[Copied]:
        for section in self._ahead.values():
            await self._copy(section)
        await self._catch_up()
        checked = await self._check()
        if faults := await self._target.faults():
            raise Differs(f"the copy is not sound: {faults[0]}")
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            await self._catch_up()
            switched: list[Copied] = []
            if await self._source.leave(partial(self._switch, ready, switched), place):
                return [*checked, *switched]
            if asyncio.get_running_loop().time() >= deadline:
                raise StorageUnavailable("an erasure is under way, and does not come to its end; try again later")
            await asyncio.sleep(PAUSE)

    async def _copy(self, section: Section) -> None:
        after: Row | None = None
        while rows := await self._source.page(section, after, PAGE):
            after = rows[-1][: section.key]
            await self._target.take(partial(_put, section, (), rows))

    async def _catch_up(self) -> None:
        for _ in range(PASSES):
            changes = await self._source.changes(PAGE)
            if changes:
                await self._target.take(partial(self._follow, self._source, changes))
                await self._source.settle(changes)
            if len(changes) <= FEW:
                return

    async def _follow(self, source: Reading, changes: Collection[Change], target: Taking) -> None:
        """Bring the rows that changed to what they are now."""
        keys: defaultdict[str, set[Row]] = defaultdict(set)
        for each in changes:
            keys[each.section].add(each.key)
        for name, changed in keys.items():
            section, some = self._ahead[name], sorted(changed)
            rows = await source.rows(section, some)
            await target.put(section, some, rows)
            _require_same(sum_of(section, rows), sum_of(section, await target.rows(section, some)))

    async def _check(self) -> list[Copied]:
        """Hold everything that was copied ahead against the source, but for what is changing just now."""
        found: list[Copied] = []

        async def look(source: Reading) -> None:
            found.clear()
            changing: defaultdict[str, set[Row]] = defaultdict(set)
            for each in await source.changes(MANY):
                changing[each.section].add(each.key)
            for section in self._ahead.values():
                here, there = await asyncio.gather(
                    _sum(source, section, changing[section.name]), _sum(self._target, section, changing[section.name])
                )
                _require_same(here, there)
                found.append(here)

        await self._source.one_moment(look)
        return found

    async def _switch(self, ready: Ready, switched: list[Copied], source: Reading) -> bool:
        if not await ready(source):
            return False
        changes = await source.changes(LAST)
        if len(changes) == LAST:
            return False  # too many to keep writers waiting for
        wholes = [(section, await source.all(section)) for section in self._last]

        async def take(target: Taking) -> None:
            switched.clear()
            await self._follow(source, changes, target)
            await target.clear(self._last)
            for section, rows in wholes:
                await target.add(section, rows)
            for section, rows in wholes:  # only now: some are told by several tables
                expected = sum_of(section, rows)
                _require_same(expected, sum_of(section, await target.all(section)))
                switched.append(expected)

        await self._target.take(take)
        return True


async def _put(section: Section, keys: Collection[Row], rows: Sequence[Row], target: Taking) -> None:
    await target.put(section, keys, rows)


async def _sum(side: Reading, section: Section, changing: Collection[Row]) -> Copied:
    total, after = Sum(), None
    while rows := await side.page(section, after, PAGE):
        after = rows[-1][: section.key]
        await asyncio.to_thread(total.add, [row for row in rows if row[: section.key] not in changing])
    return total.copied(section)


def _require_same(source: Copied, target: Copied) -> None:
    if source != target:
        raise Differs(f"{source.section}: {source.rows} rows ({source.digest}), {target.rows} in the copy")
