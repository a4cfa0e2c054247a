"""Reads: streams, pages and single records, each under a scope; what a client is shown is on the spine first."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from records.audit.disclosures import Disclosures
from records.consent.scope import Scope, Selector
from records.engine import Engine, Engines
from records.errors import Ambiguous, InvalidCursor, Unknown
from records.keyring import Keyring
from records.manifest import StreamDeclaration
from records.model import Position, StoredRecord
from records.reading import changes
from records.reading.asked import Asked, refuse_owners_questions, refuse_with_changes
from records.reading.changes import Session, Token, Versions, Walk
from records.reading.counts import NOTHING, Count, Counts
from records.reading.expansion import expand
from records.reading.lens import Lens, Removed, Shown
from records.reading.query import BEGINNING, Listing, Shape
from records.reading.reach import Reaches
from records.reading.scan import scan
from records.registry import Registration

INLINE = 128 << 10
"""Bytes of JSON that take less time to rewrite than to hand to a thread and back."""


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """A stream of one connector: how many records, and the newest `emitted_at` (None when empty)."""

    registration: Registration
    name: str
    record_count: int
    last_updated: str | None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of a list. `next_cursor` is None on the last, which has `next_changes_since` where changes can be told.

    `last_updated` is that of the whole list; None for a client, who learns it from the list of streams.
    """

    records: Sequence[Shown | Removed]
    next_cursor: str | None
    next_changes_since: str | None
    last_updated: str | None


class _ListPlace(msgspec.Struct, array_like=True):
    """What the cursor of a plain list holds: where the page ended, and how far everything had come at its beginning."""

    after: Position
    horizon: Versions | None


class Reads:
    """Answers what a scope may see."""

    def __init__(self, reaches: Reaches, engines: Engines, keyring: Keyring, disclosures: Disclosures) -> None:
        self._reaches = reaches
        self._engines = engines
        self._keyring = keyring
        self._disclosures = disclosures
        self._counts = Counts()

    # -- streams ---------------------------------------------------------------------------------------------------

    async def streams(self, scope: Scope, selector: Selector) -> list[StreamSummary]:
        """The streams of the selected connectors, in the order of keys and manifests; a client's granted ones."""
        selected = await self._reaches.connectors(scope, selector)
        stats = await self._reaches.partitions(scope, selector, selected)
        engine = await self._engines.of(scope.owner.id)
        counts: dict[tuple[str, str], Count] = {}
        for place, of in stats.items():
            stream = (place.connector, place.stream)
            counts[stream] = counts.get(stream, NOTHING).with_(await self._counts.of(engine, scope, place, of))
        summaries = []
        for registration in selected.values():
            for name in registration.manifest.streams:
                if scope.grant is not None and name not in scope.grant.streams:
                    continue
                count = counts.get((registration.key, name), NOTHING)
                summaries.append(StreamSummary(registration, name, count.records, count.newest))
        await self._disclosures.streams(scope, [each.name for each in summaries])
        return summaries

    async def stream(self, scope: Scope, name: str, selector: Selector) -> tuple[Registration, StreamDeclaration]:
        """The stream's declaration; where several connectors have it, the first by key.

        Raises `Unknown`, `Forbidden` for a stream that is not granted.
        """
        scope.stream(name)
        connectors = await self._reaches.connectors(scope, selector)
        if selector.instance is not None:
            holders = {each.connector for each in await self._reaches.instances(scope, selector, connectors)}
            connectors = {key: each for key, each in connectors.items() if key in holders}
        for registration in connectors.values():
            if name in registration.manifest.streams:
                return registration, registration.manifest.streams[name]
        raise Unknown("no such stream")

    # -- lists -----------------------------------------------------------------------------------------------------

    async def page(self, scope: Scope, stream: str, selector: Selector, listing: Listing) -> RecordPage:
        """A page of records, or of changes, over every partition that the stream has in the selection.

        It may have fewer than `limit` records, or none, though there are more: its data stays near `paging.MAX_BYTES`,
        and a search ends where `listing.pieces` has it. Raises
        `Unknown`, `Invalid` (`InvalidCursor` among them), `Forbidden`, `CursorExpired`.
        """
        refuse_owners_questions(scope, listing)
        if listing.changes_since is not None:
            refuse_with_changes(listing)
        reach = await self._reaches.stream(scope, stream, selector)
        asked = Asked(scope, reach, selector, listing, self._keyring)
        session = self._session(asked)
        page = await (self._list_page(asked) if session is None else self._changes_page(asked, session))
        shown = [(each.partition, each.key) for each in page.records if isinstance(each, Shown)]
        removed = len(page.records) - len(shown)
        await self._disclosures.records(scope, stream, shown, removed=removed)
        return page

    def _session(self, asked: Asked) -> Session | None:
        """The session that the request begins or goes on with; None for a plain list."""
        listing = asked.listing
        if listing.changes_since is not None:
            token = Token({})
            if listing.changes_since != BEGINNING:
                token = asked.unseal("changes", listing.changes_since, Token, param="changes_since")
            return changes.begin(token, asked.reach.stats)
        if listing.cursor is None:
            return None
        try:
            return asked.unseal("session", listing.cursor, Session)
        except InvalidCursor:
            return None

    async def _list_page(self, asked: Asked) -> RecordPage:
        listing, reach = asked.listing, asked.reach
        at = None if listing.cursor is None else asked.unseal("page", listing.cursor, _ListPlace)
        horizon = at.horizon if at else (None if listing.filters else changes.horizon(reach.stats))
        engine = await self._engines.of(asked.scope.owner.id)
        after = at.after if at else None
        found = await scan(engine, reach.filled, asked.order, after, listing.limit, asked.lens, listing.pieces)
        shown = await _show(asked.lens, found.records)
        await self._expand(engine, asked, found.records, shown)
        last = _last_updated(asked)
        if found.reached is not None:
            cursor = asked.seal("page", _ListPlace(found.reached, horizon))
            return RecordPage(shown, cursor, None, last)
        return RecordPage(shown, None, None if horizon is None else asked.seal("changes", Token(horizon)), last)

    async def _changes_page(self, asked: Asked, session: Session) -> RecordPage:
        refuse_with_changes(asked.listing)
        engine = await self._engines.of(asked.scope.owner.id)
        page = Walk(asked.lens, asked.listing.limit)
        more = await changes.walk(engine, session, asked.reach.stats, page)
        last = _last_updated(asked)
        if more:
            return RecordPage(page.found, asked.seal("session", session), None, last)
        return RecordPage(page.found, None, asked.seal("changes", session.token()), last)

    # -- single records --------------------------------------------------------------------------------------------

    async def record(self, scope: Scope, stream: str, key: str, selector: Selector, shape: Shape) -> Shown:
        """One record. Raises `Unknown` for one that is not there or not seen, `Invalid`, `Forbidden`, and `Ambiguous`
        when several instances have a record of this key.
        """
        listing = Listing(1, shape=shape)
        refuse_owners_questions(scope, listing)
        reach = await self._reaches.stream(scope, stream, selector)
        asked = Asked(scope, reach, selector, listing, self._keyring)
        engine = await self._engines.of(scope.owner.id)
        found = [each for each in await engine.get(reach.filled, [key]) if asked.lens.sees(each)]
        if not found:
            raise Unknown("no such record")
        if len(found) > 1:
            raise Ambiguous(
                "several connections have a record with this key; name one with connection_id",
                [record.partition.instance for record in found],
            )
        shown = await _show(asked.lens, found)
        await self._expand(engine, asked, found, shown)
        await self._disclosures.records(scope, stream, [(found[0].partition, key)], removed=0)
        return shown[0]

    async def _expand(
        self, engine: Engine, asked: Asked, records: Sequence[StoredRecord], shown: Sequence[Shown]
    ) -> None:
        for connector, wanted in asked.relations.items():
            mine = [pair for pair in zip(records, shown, strict=True) if pair[0].partition.connector == connector]
            for relation in wanted:
                await expand(engine, relation, [each for each, _ in mine], [each for _, each in mine])


async def _show(lens: Lens, records: Sequence[StoredRecord]) -> list[Shown]:
    """The records as the caller sees them; long ones are rewritten in a thread."""
    if sum(len(each.data) for each in records) <= INLINE:
        return [lens.show(each) for each in records]
    return await asyncio.to_thread(lambda: [lens.show(each) for each in records])


def _last_updated(asked: Asked) -> str | None:
    if asked.scope.grant is not None:
        return None  # it would cost a look at every record
    return max((of.updated_at for of in asked.reach.stats.values() if of.updated_at), default=None)
