"""A merge: what another directory holds comes in by the ways that all data take, and everything there stays.

Blobs come as uploads, records as an ingest, sync state as a collector brings it: so blobs are held before they are
linked, and no collection can take what a merge has brought. What is here already is left as it is, so a merge that
was cut off is done again, and goes on.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

from records import times
from records.audit import spine
from records.bag.lines import line_of
from records.central import About, Owner
from records.consent.scope import Selector
from records.engine import Engine
from records.errors import Conflict
from records.jsontext import encode
from records.merging.blobs import Blobs
from records.merging.erased import Erased, erased_here
from records.merging.graves import Graves
from records.merging.places import Match, Places
from records.merging.planned import Planned
from records.merging.report import Merged, StreamReport
from records.merging.rule import Fate, Side, decide, is_later
from records.model import Partition
from records.store import RecordStore
from records.transfer import Grave, Held, taking

ITEMS = 500
BYTES = 8 << 20
"""Rows that are merged at once, and bytes of them after which there are fewer."""

PROBLEMS = 5
"""Refusals of one stream that are told word for word."""

_STORED = frozenset({Fate.ADDED, Fate.UPDATED, Fate.DELETED})


@dataclass(frozen=True, slots=True)
class Rules:
    """`newer`: where both have a key the later one stays; else nothing is merged where any two differ.

    `dry`: nothing is written, all is counted.
    """

    newer: bool = True
    dry: bool = False


class Merging:
    """Merges `there` into `here`."""

    def __init__(self, there: RecordStore, here: RecordStore, rules: Rules) -> None:
        self._there = there
        self._here = here
        self._rules = rules
        self._places = Places(there.central, here.central, here.registry)

    async def owners(self) -> list[Owner]:
        """Who is in the other directory."""
        return [each for each in await self._there.central.owners() if each.erased_at is None]

    async def merge(self, theirs: Owner) -> Merged:
        """All that this owner has there. Again is harmless.

        Raises `Conflict` before anything is written, and what uploads and ingests raise: what came until then is here.
        """
        if not self._rules.newer and not self._rules.dry:
            found = await Merging(self._there, self._here, Rules(newer=False, dry=True)).merge(theirs)
            if found.conflicts:
                raise Conflict(f"{found.conflicts:,} records of {theirs.subject!r} are in both, and not the same")
        known = await self._here.central.owners()
        living = next((each for each in known if each.subject == theirs.subject), None)
        erased = await erased_here(self._here, theirs.subject, known, living)
        ours = await self._owner(theirs, living, erased)
        matches = await self._places.match(theirs, ours, erased, newer=self._rules.newer)
        merged = Merged(theirs.subject)
        if ours is not None and not self._rules.dry:
            await self._note(ours, "merge.begin", {})
        for match in matches:
            one = _Connector(self._there, self._here, theirs, ours, match, merged, dry=self._rules.dry)
            if ours is not None and not self._rules.dry:
                await self._places.settle(ours, match)
            if not match.is_registered:
                merged.manifests.append(match.connector)
            await one.run()
        if ours is not None and not self._rules.dry:
            await self._note(ours, "merge", {"records": sum(each.records for each in merged.streams)})
        return merged

    async def _owner(self, theirs: Owner, living: Owner | None, erased: Erased) -> Owner | None:
        """Whose it becomes. Nobody's in a dry run where nobody has the name, and where whoever had it was erased."""
        if living is not None or self._rules.dry or erased.owner:
            return living
        return await self._here.access.owner(theirs.subject)

    async def _note(self, ours: Owner, kind: str, counts: Mapping[str, int]) -> None:
        facts = {"from": await self._there.blobs.catalogue.store_id(), **counts}
        await self._here.central.note(ours.id, spine.body(kind, facts), times.now(), About())


class _Connector:
    """One connector on its way in."""

    def __init__(
        self,
        there: RecordStore,
        here: RecordStore,
        theirs: Owner,
        ours: Owner | None,
        match: Match,
        merged: Merged,
        *,
        dry: bool,
    ) -> None:
        self._there = there
        self._here = here
        self._theirs = theirs
        self._ours = ours
        self._match = match
        self._merged = merged
        self._dry = dry
        self._blobs = Blobs(there, here, theirs, ours, match)
        self._planned = Planned(here.blobs, ours, match.connector)
        self._reports: dict[Partition, StreamReport] = {}

    async def run(self) -> None:
        source = await self._there.engines.of(self._theirs.id)
        target = None if self._ours is None else await self._here.engines.of(self._ours.id)
        with (
            closing(await Graves.of(self._here.blobs, target, self._match.connector)) as graves,
            closing(self._planned),
        ):
            since: dict[Partition, int] = {}
            whole = False
            while not whole:
                piece = await source.extract(self._match.connector, since, taking(since, ITEMS, BYTES))
                for place, items in groupby(piece.items, key=lambda each: each.partition):
                    living = [each for each in items if isinstance(each, Held | Grave)]
                    if place.instance in self._match.names and living:
                        await self._records(target, graves, place, living)
                    elif place.instance in self._match.erased and living:
                        self._count(self._report(place, place.instance), living, Fate.ERASED)
                whole, since = piece.whole, {**since, **piece.reached}
        self._merged.claims += await self._blobs.claims(dry=self._dry)
        await self._states()

    async def _records(
        self,
        target: Engine | None,
        graves: Graves,
        place: Partition,
        items: Sequence[Held | Grave],
    ) -> None:
        here = Partition(place.connector, self._match.names[place.instance], place.stream)
        report = self._report(here, place.instance)
        self._count(report, items)
        declaration = self._match.manifest.streams.get(place.stream)
        if declaration is None:
            report.skipped += len(items)
            return
        found = [] if target is None else await target.get([here], {_key(each) for each in items})
        known = {each.key: Side(each.emitted_at, each.data) for each in found}
        gone = await graves.emitted_at(here, [_key(each) for each in items])
        known = {key: Side(at, None) for key, at in gone.items()} | known
        stored: list[tuple[Held | Grave, Fate]] = []
        for each in items:
            side, erased_at = _side(each), self._match.erased_at.get(place.instance, "")
            fate = decide(side, known.get(_key(each)), append_only=declaration.append_only, erased_at=erased_at)
            if fate in _STORED:
                stored.append((each, fate))
            else:
                report.fates[fate] += 1
        if self._ours is not None and not self._dry:
            if stored:
                await self._store(self._ours, here, stored, report)
            return
        report.fates.update(fate for _, fate in stored)
        linked = {link.digest for each, _ in stored if isinstance(each, Held) for link in each.links}
        self._merged.blobs += await self._planned.add(linked)

    def _count(self, report: StreamReport, items: Sequence[Held | Grave], fate: Fate | None = None) -> None:
        """What the other directory has; `fate` where one became of all of it."""
        report.records += sum(isinstance(each, Held) for each in items)
        report.tombstones += sum(isinstance(each, Grave) for each in items)
        if fate is not None:
            report.fates[fate] += len(items)

    async def _store(
        self, ours: Owner, here: Partition, stored: Sequence[tuple[Held | Grave, Fate]], report: StreamReport
    ) -> None:
        self._merged.blobs += await self._blobs.bring(here, [each for each, _ in stored if isinstance(each, Held)])
        ingest = await self._here.ingests.begin(ours, here.stream, Selector(here.connector, here.instance))
        await ingest.apply([_line(each) for each, _ in stored])
        refused = {each.input_index for each in ingest.rejections}
        for index, (_, fate) in enumerate(stored):
            if index not in refused:
                report.fates[fate] += 1
        report.refused += len(refused)
        told = [each.message for each in ingest.rejections]
        report.problems += told[: PROBLEMS - len(report.problems)]

    async def _states(self) -> None:
        """Of a stream whose state is in both, that of the instance which was written to last stays."""
        for name, here in self._match.names.items():
            theirs, their_time = await self._there.central.state(self._theirs.id, self._match.connector, name)
            known, our_time = await self._known_state(here)
            erased_at = self._match.erased_at.get(name, "")
            taken: dict[str, bytes] = {}
            for stream, value in theirs.items():
                if stream not in self._match.manifest.streams:
                    fate = Fate.KEPT
                elif erased_at and not is_later(their_time or "", erased_at):
                    fate = Fate.ERASED
                elif stream not in known:
                    fate = Fate.ADDED
                elif known[stream] == value:
                    fate = Fate.UNCHANGED
                else:
                    fate = Fate.UPDATED if (their_time or "") > (our_time or "") else Fate.KEPT
                self._merged.states[fate] += 1
                if fate in _STORED:
                    taken[stream] = value
            if taken and self._ours is not None and not self._dry:
                await self._here.states.merge(self._ours, Selector(self._match.connector, here), taken)

    async def _known_state(self, instance: str) -> tuple[Mapping[str, bytes], str | None]:
        if self._ours is None:
            return {}, None
        return await self._here.central.state(self._ours.id, self._match.connector, instance)

    def _report(self, here: Partition, there: str) -> StreamReport:
        if here not in self._reports:
            self._reports[here] = StreamReport(here, there)
            self._merged.streams.append(self._reports[here])
        return self._reports[here]


def _key(item: Held | Grave) -> str:
    return item.record.key if isinstance(item, Held) else item.tombstone.key


def _side(item: Held | Grave) -> Side:
    if isinstance(item, Grave):
        return Side(item.tombstone.emitted_at, None)
    return Side(item.record.emitted_at, item.record.data)


def _line(item: Held | Grave) -> bytes:
    if isinstance(item, Held):
        return line_of(item.record.key, item.record.data, item.record.emitted_at)
    grave = item.tombstone
    gone = {"key": grave.key, "op": "delete", "emitted_at": grave.emitted_at, "data": {"deleted_at": grave.deleted_at}}
    return encode(gone) + b"\n"
