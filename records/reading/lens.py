"""What of a stream's records one caller sees: which of them, which fields, and when they last changed for this caller.

What a caller may not see leaves no trace: a record's `emitted_at` is that of the last change among the granted fields,
and a change is one only if what is seen is not what was seen before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from records import jsontext
from records.consent.scope import StreamGrant, projected
from records.errors import CursorExpired
from records.history import Recorder, Remembered, read_revisions, recall
from records.model import Change, Keep, Partition, StoredRecord, Tombstone
from records.reading.query import Matches
from records.writing import links


@dataclass(slots=True)
class Shown:
    """A record as it is served: `data` is JSON text with `fetch_url` in its blob references.

    `expanded` has related records by the name of the relation.
    """

    partition: Partition
    key: str
    data: bytes
    emitted_at: str
    expanded: dict[str, "Related"] | None = None


@dataclass(frozen=True, slots=True)
class Related:
    """The records of one relation; `many` tells a list from a single one, which may be missing."""

    records: Sequence[Shown]
    has_more: bool
    many: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """A record that was there for this caller and is not any more."""

    partition: Partition
    key: str
    deleted_at: str
    emitted_at: str


@dataclass(frozen=True, slots=True)
class Lens:
    """How one caller looks at one stream.

    `bounds` are a client's (None: an owner's, who has none); `fields` what is asked for, by connector (None: all that
    may be seen); `matches` are an owner's filters.
    """

    bounds: StreamGrant | None
    fields: Mapping[str, frozenset[str]] | None = None
    matches: Matches | None = None
    recorder: Recorder | None = None
    """Makes a present state comparable with a remembered one; needed to `learn` of changes."""

    @property
    def keep(self) -> Keep | None:
        """Whether a record is seen at all; None where all are."""
        if self.matches is None and (self.bounds is None or not self.bounds.narrows):
            return None
        return self._sees

    def _sees(self, partition: Partition, key: str, data: bytes) -> bool:
        if not self.may_show(key):
            return False  # decoding would be for nothing
        decoded = jsontext.decode(data)
        if self.bounds is not None and not self.bounds.shows_data(key, decoded):
            return False
        return self.matches is None or self.matches(decoded)

    def may_show(self, key: str) -> bool:
        """Whether there is any state in which the record with this key is seen."""
        return self.bounds is None or self.bounds.resources is None or key in self.bounds.resources

    def sees(self, record: StoredRecord) -> bool:
        """Whether this record is seen."""
        keep = self.keep
        return keep is None or keep(record.partition, record.key, record.data)

    def emitted_at(self, record: StoredRecord) -> str:
        """When the record last changed for this caller."""
        if self.bounds is None or record.revisions is None:
            return record.emitted_at
        return read_revisions(record.revisions).seen(self.bounds.fields).emitted_at

    def show(self, record: StoredRecord) -> Shown:
        """The record as this caller sees it."""
        fields = self._fields(record.partition.connector)
        data = record.data
        if fields is not None or record.linked:
            decoded = jsontext.decode_exact(data)
            if fields is not None:
                decoded = projected(decoded, fields)
            data = jsontext.encode(links.with_fetch_urls(decoded) if record.linked else decoded)
        return Shown(record.partition, record.key, data, self.emitted_at(record))

    def learn(self, partition: Partition, change: Change) -> Shown | Removed | None:
        """What the caller learns of a change; None where what is seen is what was seen.

        Raises `CursorExpired` where it is not remembered whether the caller saw what was.
        """
        before = None if change.before is None else recall(change.before)
        was_seen = before is not None and self._was_seen(change.now, before)
        if isinstance(change.now, Tombstone):  # where nothing is remembered, it came and went in between
            return _buried(partition, change.now) if was_seen else None
        if not self.sees(change.now):
            return self._left(change.now) if was_seen else None
        if was_seen and before is not None and not self._differs(change.now, before):
            return None
        return self.show(change.now)

    def _was_seen(self, now: StoredRecord | Tombstone, before: Remembered) -> bool:
        bounds = self.bounds
        if bounds is None or bounds.window is None or before.consent_field == bounds.window.field:
            return bounds is None or bounds.shows(now.key, before.consent)
        # The stream had declared another field than the grant goes by.
        field = bounds.window.field
        if not self.may_show(now.key) or (before.fields is not None and field not in before.fields):
            return False
        if before.fields is not None and isinstance(now, StoredRecord):
            data = jsontext.decode(now.data)
            if not self._state(data).differs(before, [field]):
                return bounds.shows_data(now.key, data)
        raise CursorExpired("the stream has another consent-time field since; start again with `beginning`")

    def _left(self, record: StoredRecord) -> Removed:
        """It is there still, but its consent-time field has moved out of the window: that moment, and no later one."""
        moment = record.emitted_at
        if self.bounds is not None and self.bounds.window is not None and record.revisions is not None:
            moment = read_revisions(record.revisions).seen([self.bounds.window.field]).emitted_at
        return Removed(record.partition, record.key, moment, moment)

    def _differs(self, record: StoredRecord, before: Remembered) -> bool:
        now = self._state(jsontext.decode(record.data))
        return now.differs(before, None if self.bounds is None else self.bounds.fields)

    def _state(self, data: Mapping[str, object]) -> Remembered:
        assert self.recorder is not None
        return self.recorder.state(data)

    def _fields(self, connector: str) -> frozenset[str] | None:
        if self.fields is not None:
            return self.fields[connector]
        return None if self.bounds is None else self.bounds.fields


def _buried(partition: Partition, grave: Tombstone) -> Removed:
    return Removed(partition, grave.key, grave.deleted_at, grave.emitted_at)
