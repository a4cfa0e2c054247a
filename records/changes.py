"""Sessions of `changes_since`: from a change token to the horizon of the first page, and to the next token.

A token says, for each partition that its list covers, up to which version its client knows everything. A session walks
the partitions in their order, and each in the order of versions, up to the versions that the first page found; its
cursor carries where it began, where it ends and how far it has come. A key that changes again beyond the horizon while
the session goes on cannot be shown as it was at the horizon: it is left out, and the next token begins below it.

In tokens a partition is named by a digest: they hold for any way in which records are kept.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from blobstore.digest import derive
from records.engine import Engine
from records.errors import CursorExpired, Invalid
from records.lens import Lens, Removed, Shown
from records.model import Changes, Partition, PartitionStats
from records.paging import MAX_BYTES

MAX_PARTITIONS = 400
"""Partitions of one session: its cursor names each, and goes into a URL."""

STEP = 500
"""Changes that the engine is asked for at once."""

_CONTEXT = "blobstore 2026-11 partition in a token"

Versions = dict[bytes, int]
"""By partition (see `named`)."""


class Session(msgspec.Struct, array_like=True):
    """A session between two pages: everything of `place` up to version `reached`, and of what precedes it, was told."""

    since: Versions
    horizon: Versions
    place: bytes
    reached: int
    lowered: Versions
    """Where the next session has to begin below the horizon."""

    def token(self) -> Versions:
        """What the client knows once the session is through."""
        return {**self.horizon, **self.lowered}


@dataclass(slots=True)
class Walk:
    """One page of a session while it is gathered: some of what it finds the caller may not learn."""

    lens: Lens
    limit: int
    found: list[Shown | Removed] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the page takes no more."""
        return len(self.found) >= self.limit or self.size > MAX_BYTES


def named(partition: Partition) -> bytes:
    """What stands for a partition in tokens."""
    place = (partition.connector, partition.instance, partition.stream)
    return derive(_CONTEXT, msgspec.msgpack.encode(place), 8)


def horizon(stats: Mapping[Partition, PartitionStats]) -> Versions | None:
    """How far the partitions have come; None where they are too many for a token."""
    if len(stats) > MAX_PARTITIONS:
        return None
    return {named(partition): of.version for partition, of in stats.items()}


def begin(since: Versions, stats: Mapping[Partition, PartitionStats]) -> Session:
    """A session from a token (empty: from the beginning) to now.

    Raises `Invalid` for a list that is too wide, `CursorExpired` for a token that knows of what is not there any more:
    of a connection that was erased, or of versions that a restored backup does not have.
    """
    until = horizon(stats)
    if until is None:
        raise Invalid(
            "changes cannot be followed over so many connections at once: name one with connector_id",
            param="changes_since",
        )
    if any(version > until.get(place, 0) for place, version in since.items()):
        raise _expired()
    first = named(min(stats)) if stats else b""
    known = {place: since.get(place, 0) for place in until}
    return Session(known, until, first, known.get(first, 0), {})


async def walk(engine: Engine, session: Session, stats: Mapping[Partition, PartitionStats], page: Walk) -> bool:
    """Gather a page, moving the session along; whether there is more.

    Raises `CursorExpired` when what the session's beginning needs is not remembered any more.
    """
    places = [place for place in sorted(stats) if named(place) in session.horizon]
    if len(places) < len(session.horizon) or any(_is_forgotten(session, place, stats[place]) for place in places):
        raise _expired()
    names = [named(place) for place in places]
    for place in places[names.index(session.place) :] if places else ():
        name = named(place)
        if name != session.place:
            session.place, session.reached = name, session.since[name]
        while session.reached < session.horizon[name]:
            part = await _step(engine, place, session, page)
            if await asyncio.to_thread(_take, place, part, session, page):
                return True
    return False


async def _step(engine: Engine, place: Partition, session: Session, page: Walk) -> Changes:
    name = named(place)
    # One beyond the page tells whether there is more. Where some are not for this caller, more are looked at.
    limit = STEP if page.lens.keep else min(STEP, page.limit - len(page.found) + 1)
    return await engine.changes(
        place, session.since[name], session.reached, session.horizon[name], limit, max(MAX_BYTES - page.size, 0)
    )


def _take(place: Partition, part: Changes, session: Session, page: Walk) -> bool:
    """Put into the page what the caller learns; true when something is left that does not fit."""
    name = named(place)
    if part.overtaken is not None:
        lowest = session.lowered.get(name, session.horizon[name])
        session.lowered[name] = min(lowest, part.overtaken - 1)
    for change in part.changes:
        learned = page.lens.learn(place, change, session.since[name])
        if learned is None:
            continue
        if page.is_full:
            session.reached = change.now.version - 1
            return True
        page.found.append(learned)
        page.size += len(learned.data) if isinstance(learned, Shown) else 0
    session.reached = part.reached
    return False


def _is_forgotten(session: Session, place: Partition, stats: PartitionStats) -> bool:
    return 0 < session.since[named(place)] < stats.floor


def _expired() -> CursorExpired:
    return CursorExpired("what changed since then is not known here any more; start again with `beginning`")
