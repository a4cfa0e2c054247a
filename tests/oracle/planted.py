"""Faults to be planted into one server: each leaks, loses or misplaces one thing, and nothing else.

The first five break a rule of grants, one each; they are what an engine that was asked wrongly, or a scope that was
read wrongly, would do. The others are mistakes that engines make by themselves.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Never

from records.central.chain import About
from records.consent.scope import Grant, Scope, Selector, StreamGrant, TimeWindow
from records.engine import Engine
from records.engines.postgres.walk import Walk
from records.engines.rank import Rank, rank
from records.engines.sharded import merging
from records.layout import Topology
from records.model import Changes, Order, Page, Partition, Position, StoredRecord, Tombstone
from records.store import RecordStore
from tests.oracle.servers import Plant


class _Wrapped:
    """An engine that answers as the one inside; what a fault changes is overridden."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


class _Widened(_Wrapped):
    """Reads reach one partition more."""

    async def page(self, partitions: Collection[Partition], *rest: Any, **options: Any) -> Page:
        return await self.engine.page(await self._wider(partitions), *rest, **options)

    async def _wider(self, partitions: Collection[Partition]) -> list[Partition]:
        more = [each for each in await self.engine.stats() if self.leaks(each, partitions)]
        return sorted({*partitions, *more[:1]})

    def leaks(self, place: Partition, partitions: Collection[Partition]) -> bool:
        raise NotImplementedError


class OtherStream(_Widened):
    """One more stream of the same instance, where its keys cannot be told from those of the one that is asked for."""

    def leaks(self, place: Partition, partitions: Collection[Partition]) -> bool:
        return place.stream == "parts" and any(
            (place.connector, place.instance, "shelves") == (each.connector, each.instance, each.stream)
            for each in partitions
        )


class OtherInstance(_Widened):
    """One more instance of the same connector."""

    def leaks(self, place: Partition, partitions: Collection[Partition]) -> bool:
        return place not in partitions and any(
            (place.connector, place.stream) == (each.connector, each.stream) for each in partitions
        )


class LostAtATie(_Wrapped):
    """A page loses a record whose place is that of the record before it but for the key."""

    async def page(
        self, partitions: Collection[Partition], order: Order, after: Position | None, limit: int, **options: Any
    ) -> Page:
        page = await self.engine.page(partitions, order, after, limit, **options)
        kept: list[StoredRecord] = []
        for record in page.records:
            if not (kept and record.sort.cursor == kept[-1].sort.cursor) or len(page.records) < 3:
                kept.append(record)
        return replace(page, records=kept)


class MergedInAnotherOrder(_Wrapped):
    """Records of two partitions that follow each other with the same cursor value change places."""

    async def page(self, *rest: Any, **options: Any) -> Page:
        page = await self.engine.page(*rest, **options)
        records = list(page.records)
        for at in range(len(records) - 1):
            one, two = records[at : at + 2]
            if one.partition != two.partition and one.sort.cursor == two.sort.cursor:
                records[at : at + 2] = two, one
                break
        return replace(page, records=records)


class ForgottenGrave(_Wrapped):
    """Sessions of changes do not tell of what is gone."""

    async def changes(self, *rest: Any, **options: Any) -> Changes:
        found = await self.engine.changes(*rest, **options)
        return replace(found, changes=[each for each in found.changes if not isinstance(each.now, Tombstone)])


class MiscountedLinks(_Wrapped):
    """The links of one record are not told."""

    async def links_of(self, *rest: Any, **options: Any) -> Sequence[Any]:
        return list(await self.engine.links_of(*rest, **options))[1:]


def in_engine(wrapper: Callable[[Engine], _Wrapped]) -> Plant:
    """Every engine of the store is wrapped so."""

    def plant(store: RecordStore) -> None:
        of = store.engines.of

        async def wrapped(owner: str) -> Any:
            return wrapper(await of(owner))

        store.engines.of = wrapped  # type: ignore[method-assign]

    return plant


def in_scope(change: Callable[[StreamGrant], StreamGrant]) -> Plant:
    """Clients are let see what this makes of the bounds of each stream."""

    def plant(store: RecordStore) -> None:
        resolve = store.access.resolve

        async def widened(token: str) -> Scope | None:
            scope = await resolve(token)
            if scope is None or scope.grant is None:
                return scope
            streams = {name: change(bounds) for name, bounds in scope.grant.streams.items()}
            return replace(scope, grant=_with(scope.grant, streams))

        store.access.resolve = widened  # type: ignore[method-assign]

    return plant


def _with(grant: Grant, streams: Mapping[str, StreamGrant]) -> Grant:
    return replace(grant, streams=streams)


def _one_field(bounds: StreamGrant) -> StreamGrant:
    return replace(bounds, fields=bounds.fields | {"text"})


def _some_resources(bounds: StreamGrant) -> StreamGrant:
    more = {f"{bounds.name[0]}{number:03}" for number in range(6, 60, 2)}
    return replace(bounds, resources=None if bounds.resources is None else bounds.resources | more)


def _a_longer_window(bounds: StreamGrant) -> StreamGrant:
    window = bounds.window
    if window is None:
        return bounds
    since = None if window.since is None else window.since.replace("2024-02-01", "2024-01-25")
    until = None if window.until is None else window.until.replace("2024-02-15", "2024-02-25")
    return replace(bounds, window=TimeWindow(window.field, since, until))


RULES: Mapping[str, Plant] = {
    "stream": in_engine(OtherStream),
    "instance": in_engine(OtherInstance),
    "field": in_scope(_one_field),
    "resource": in_scope(_some_resources),
    "time": in_scope(_a_longer_window),
}
"""A fault for each rule of a grant."""


def _an_event_is_lost(store: RecordStore) -> None:
    note = store.central.note

    async def forgetful(owner: str, event: bytes, now: str, about: About) -> None:
        if b'"invalid_cursor"' not in event:
            await note(owner, event, now, about)

    store.central.note = forgetful  # type: ignore[method-assign]


def _a_server_fails(store: RecordStore) -> None:
    async def failing(scope: Scope, name: str, selector: Selector) -> Never:
        raise RuntimeError("planted")

    store.reads.stream = failing  # type: ignore[method-assign]


MISTAKES: Mapping[str, Plant] = {
    "an event is not on the spine": _an_event_is_lost,
    "a server fails": _a_server_fails,
    "a row is lost at equal sort keys": in_engine(LostAtATie),
    "partitions are merged in another order": in_engine(MergedInAnotherOrder),
    "tombstones are not told": in_engine(ForgottenGrave),
    "a link is not told": in_engine(MiscountedLinks),
}
"""What engines may do wrong by themselves."""


def _without_partition(order: Order, place: Position) -> Rank:
    """The mistake of a merge that does not tell partitions apart."""
    return rank(order, Position(place.sort, Partition("", "", ""), place.key))


def _nothing_else_at(walk: Walk, place: Partition, absent: bool, after: Position | None) -> Any:
    """The mistake of a page that goes on beyond the last sort key, whatever else has the same one."""
    bound = _BOUND(walk, place, absent, after)
    return bound if after is None or after.sort.absent != absent else (*bound[:2], False)


_BOUND = Walk._bound

INSIDE: Mapping[Topology, tuple[Any, str, Any]] = {
    Topology.PER_CONNECTOR: (merging, "rank", _without_partition),
    Topology.POSTGRES: (Walk, "_bound", _nothing_else_at),
}
"""A mistake in the very code that only this engine has: where, what, and what stands in its place."""
