"""Sessions of `changes_since`: from a change token to the horizon of the first page, and to the next token.

A token says, for each partition that its list covers, up to which version its client knows everything. A session walks
the partitions in their order, and each in the order of versions, up to the versions that the first page found; its
cursor carries where it began, where it ends and how far it has come. A key that changes again beyond the horizon before
the session comes to it cannot be shown as it was at the horizon. It is left out and *owed*: the next token names it,
with the version that its client knows it at. Where more would be owed than a token holds, the session ends early.

In tokens a partition is named by a digest: they hold for any way in which records are kept.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from blobstore.digest import derive
from records.engine import Engine
from records.errors import CursorExpired, Invalid
from records.model import Change, Changes, Overtaken, Partition, PartitionStats
from records.reading.lens import Lens, Removed, Shown
from records.reading.paging import MAX_BYTES

MAX_PARTITIONS = 200
"""Partitions of one session: its cursor names each, and goes into a URL."""

STEP = 500
"""Changes that the engine is asked for at once."""

MAX_OWED = 100
MAX_OWED_BYTES = 4096
"""Keys that a token owes, and their length in UTF-8 together."""

_CONTEXT = "blobstore 2026-11 partition in a token"

Versions = dict[bytes, int]
"""By partition (see `named`)."""

Owed = dict[bytes, dict[str, int]]
"""By partition, the version that the client knows each of some keys at."""


class Token(msgspec.Struct, array_like=True):
    """What a client knows."""

    versions: Versions
    owed: Owed = {}


class Session(msgspec.Struct, array_like=True):
    """A session between two pages: everything of `place` up to version `reached`, and of what precedes it, was told.

    `owed` are keys of the token that were not told yet, `late` those that the next token owes.
    """

    since: Versions
    horizon: Versions
    place: bytes
    reached: int
    owed: Owed
    late: Owed

    def token(self) -> Token:
        """What the client knows once it has all pages up to here."""
        names = list(self.horizon)
        come = names.index(self.place) if names else 0
        versions = {**self.since, **{name: self.horizon[name] for name in names[:come]}}
        if names:
            versions[self.place] = self.reached
        owing = [name for name in names if self.owed.get(name) or self.late.get(name)]
        return Token(versions, {name: {**self.owed.get(name, {}), **self.late.get(name, {})} for name in owing})

    def owe(self, name: bytes, key: str, version: int) -> bool:
        """The next token owes this key; false where it holds no more."""
        keys = [key, *(each for late in self.late.values() for each in late)]
        if len(keys) > MAX_OWED or sum(len(each.encode()) for each in keys) > MAX_OWED_BYTES:
            return False
        self.late.setdefault(name, {})[key] = version
        return True


@dataclass(slots=True)
class Walk:
    """One page of a session while it is gathered: some of what it finds the caller may not learn."""

    lens: Lens
    limit: int
    found: list[Shown | Removed] = field(default_factory=list)
    size: int = 0

    def add(self, learned: Shown | Removed) -> None:
        """Put it at the end."""
        self.found.append(learned)
        self.size += len(learned.data) if isinstance(learned, Shown) else 0

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


def begin(token: Token, stats: Mapping[Partition, PartitionStats]) -> Session:
    """A session from a token (an empty one: from the beginning) to now.

    Raises `Invalid` for a list that is too wide, `CursorExpired` for a token that knows of what is not there any more:
    of a connection that was erased, or of versions that a restored backup does not have.
    """
    until = horizon(stats)
    if until is None:
        raise Invalid(
            "changes cannot be followed over so many connections at once: name one with connector_id",
            param="changes_since",
        )
    if any(version > until.get(place, 0) for place, version in token.versions.items()):
        raise _expired()
    known = {place: token.versions.get(place, 0) for place in until}
    first = next(iter(until), b"")
    return Session(known, until, first, known.get(first, 0), token.owed, {})


async def walk(engine: Engine, session: Session, stats: Mapping[Partition, PartitionStats], page: Walk) -> bool:
    """Gather a page, moving the session along; whether the session goes on.

    `stats` are in order. Raises `CursorExpired` when what the session's beginning needs is not remembered any more.
    """
    places = {named(place): place for place in stats if named(place) in session.horizon}
    if len(places) < len(session.horizon):
        raise _expired()
    if any(_is_forgotten(session, name, stats[place]) for name, place in places.items()):
        raise _expired()
    names = list(session.horizon)
    for name in names[names.index(session.place) :] if names else ():
        if name != session.place:
            session.place, session.reached = name, session.since[name]
        while session.reached < session.horizon[name]:
            part = await _step(engine, places[name], session, page)
            match await asyncio.to_thread(_take, places[name], part, session, page):
                case _Taken.FULL:
                    return True
                case _Taken.SHORT:
                    return False
    return False


class _Taken(Enum):
    """What became of some changes: all are told, the page holds no more, or no more can be owed."""

    ALL = auto()
    FULL = auto()
    SHORT = auto()


async def _step(engine: Engine, place: Partition, session: Session, page: Walk) -> Changes:
    name = session.place
    # One beyond the page tells whether there is more. Where some are not for this caller, more are looked at.
    limit = STEP if page.lens.keep else min(STEP, page.limit - len(page.found) + 1)
    return await engine.changes(
        place,
        session.since[name],
        session.reached,
        session.horizon[name],
        limit,
        max_bytes=max(MAX_BYTES - page.size, 0),
        owed=session.owed.get(name, {}),
    )


def _take(place: Partition, part: Changes, session: Session, page: Walk) -> _Taken:
    """Put into the page what the caller learns, as far as it fits."""
    name = session.place
    owed = session.owed.get(name, {})
    since = session.since[name]
    both: list[Change | Overtaken] = [*part.changes, *part.overtaken]
    for each in sorted(both, key=lambda each: each.version):
        known = owed.get(each.key, since)
        if isinstance(each, Overtaken):
            if page.lens.may_show(each.key) and not session.owe(name, each.key, known):
                session.reached = each.version - 1
                return _Taken.SHORT
        elif (learned := page.lens.learn(place, each)) is not None:
            if page.is_full:
                session.reached = each.version - 1
                return _Taken.FULL
            page.add(learned)
        owed.pop(each.key, None)
    session.reached = part.reached
    return _Taken.ALL


def _is_forgotten(session: Session, name: bytes, stats: PartitionStats) -> bool:
    known = (session.since[name], *session.owed.get(name, {}).values())
    return any(0 < version < stats.floor for version in known)


def _expired() -> CursorExpired:
    return CursorExpired("what changed since then is not known here any more; start again with `beginning`")
