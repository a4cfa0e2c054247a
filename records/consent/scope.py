"""What one caller may see, and what one request names. Every read takes a scope; there is no default.

A client's scope is its grant, word for word: never widened by what a connector declares later.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from records import times
from records.central import Owner
from records.errors import Forbidden
from records.history import consent_of


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """`since` <= the field's time < `until` (UTC, texts as `times.text` makes them; None: no bound)."""

    field: str
    since: str | None
    until: str | None

    def holds(self, value: str | None) -> bool:
        """Whether the field's value is a time within; a value that names no moment is not."""
        moment = None if value is None else times.moment(value)
        if moment is None:
            return False
        return (self.since is None or self.since <= moment) and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class StreamGrant:
    """What a grant lets its client see of one stream; `resources` are canonical keys (None: all)."""

    name: str
    instances: frozenset[str]
    fields: frozenset[str]
    window: TimeWindow | None
    resources: frozenset[str] | None

    @property
    def narrows(self) -> bool:
        """Whether some records of the stream are hidden, beside those of other instances."""
        return self.window is not None or self.resources is not None

    def shows(self, key: str, consent: str | None) -> bool:
        """Whether the record with this key, whose consent-time field has this value, is among what may be seen."""
        if self.resources is not None and key not in self.resources:
            return False
        return self.window is None or self.window.holds(consent)

    def shows_data(self, key: str, data: Mapping[str, object]) -> bool:
        """The same for a record's decoded data."""
        return self.shows(key, None if self.window is None else consent_of(data, self.window.field))


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as it is enforced: one connector, some of its streams."""

    id: str
    client: str
    connector: str
    access_mode: str
    streams: Mapping[str, StreamGrant]


@dataclass(frozen=True, slots=True)
class Scope:
    """What one caller may see: all of the owner's, or of that what a grant names."""

    owner: Owner
    grant: Grant | None

    @classmethod
    def of_owner(cls, owner: Owner) -> Self:
        """The scope of an owner's own token."""
        return cls(owner, None)

    @property
    def binding(self) -> str:
        """What a cursor is bound to beside its owner."""
        return "owner" if self.grant is None else f"grant {self.grant.id}"

    def stream(self, name: str) -> StreamGrant | None:
        """The bounds of a stream; None for an owner, who has none. Raises `Forbidden` for one that is not granted."""
        if self.grant is None:
            return None
        if name not in self.grant.streams:
            raise Forbidden("the grant does not name this stream", "grant_stream_not_allowed", param="stream")
        return self.grant.streams[name]

    def knows(self, instance: str) -> bool:
        """Whether the caller may know that there is this instance: a client only of those that its grant names."""
        return self.grant is None or any(instance in bounds.instances for bounds in self.grant.streams.values())

    def allows(self, connector: str, stream: str, instance: str) -> bool:
        """Whether records of this place may be seen at all."""
        if self.grant is None:
            return True
        bounds = self.grant.streams.get(stream)
        return connector == self.grant.connector and bounds is not None and instance in bounds.instances


@dataclass(frozen=True, slots=True)
class Selector:
    """The connector and the instance that a request names, as it spelled them; None where it names none."""

    connector: str | None = None
    instance: str | None = None

    @property
    def filters(self) -> list[tuple[str, str]]:
        """What narrows a list, for the cursor that goes on with it."""
        named = (("connector_id", self.connector), ("connector_instance_id", self.instance))
        return [(name, value) for name, value in named if value is not None]


def projected(data: Mapping[str, object], fields: Collection[str]) -> dict[str, object]:
    """The data cut to these top-level fields, in its own order."""
    return {name: value for name, value in data.items() if name in fields}
