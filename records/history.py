"""What is remembered of a record's past, and what follows from it for one who sees only some of its fields.

Of a superseded state only keyed digests of its top-level fields stay, and the value of its consent-time field: enough
to tell whether what a caller may see is the same as it was, nothing of what it said. Of an erased one the digests go
too: when it was there, and at which consent time, is what tells clients that have it to let it go.

Beside it, a record that was ever changed carries its *revisions*: for each field that changed, the version and the
`emitted_at` of the last time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from blobstore.digest import derive
from records import jsontext

DIGEST_SIZE = 8
"""Bytes of a field's digest: keyed, so that it can neither be guessed nor made to collide."""

_CONTEXT = "blobstore 2026-11 a field of a record"


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A superseded state: the digest of each top-level field, and the consent-time field's value if it was a string.

    `fields` is None of an erased one: it is unlike anything. `consent_field` is the field that the stream had declared.
    """

    fields: dict[str, bytes] | None
    consent: str | None
    consent_field: str | None = None

    def differs(self, other: "Remembered", fields: Collection[str] | None) -> bool:
        """Whether one who sees these fields (None: all) can tell the two states apart."""
        if self.fields is None or other.fields is None:
            return True
        if fields is None:
            return self.fields != other.fields
        return any(self.fields.get(name) != other.fields.get(name) for name in fields)


@dataclass(frozen=True, slots=True)
class Recorder:
    """Makes what is remembered. `key` is the owner's, `consent_field` the stream's consent-time field."""

    key: bytes = field(repr=False)
    consent_field: str | None

    def remember(self, data: bytes) -> bytes:
        """What stays of this state, to be stored."""
        return msgspec.msgpack.encode(self.state(_members(data)))

    def state(self, data: Mapping[str, object]) -> Remembered:
        """The same of decoded data, to be compared with what was stored."""
        digests = {name: self._digest(name, value) for name, value in data.items()}
        return Remembered(digests, consent_of(data, self.consent_field), self.consent_field)

    def _digest(self, name: str, value: object) -> bytes:
        return derive(_CONTEXT, self.key + jsontext.canonical([name, value]), DIGEST_SIZE)


def recall(stored: bytes) -> Remembered:
    """Read what `Recorder.remember` made."""
    return msgspec.msgpack.decode(stored, type=Remembered)


def redacted(stored: bytes) -> bytes:
    """What may stay of a remembered state once its record is erased."""
    past = recall(stored)
    return erased(past.consent, past.consent_field)


def erased(consent: str | None, consent_field: str | None) -> bytes:
    """What stays of the state that an erasure ends; `consent` is its consent-time field's value."""
    return msgspec.msgpack.encode(Remembered(None, consent, consent_field))


def consent_of(data: Mapping[str, object], consent_field: str | None) -> str | None:
    """The consent-time field's value, if it is a string."""
    value = None if consent_field is None else data.get(consent_field)
    return value if isinstance(value, str) else None


def consent_in(data: bytes, consent_field: str | None) -> str | None:
    """The same of JSON text."""
    return None if consent_field is None else consent_of(_members(data), consent_field)


class Revision(msgspec.Struct, frozen=True, array_like=True):
    """The version and the `emitted_at` of a change."""

    version: int
    emitted_at: str


class Revisions(msgspec.Struct, frozen=True, array_like=True):
    """When a record came into being, and when each field that changed since did so last."""

    born: Revision
    fields: dict[str, Revision]

    def seen(self, fields: Collection[str]) -> Revision:
        """The last change that one who sees these fields only can know of."""
        known = (self.fields[name] for name in fields if name in self.fields)
        return max((self.born, *known), key=lambda each: each.version)


def revise(revisions: bytes | None, was: Revision, old: bytes, new: bytes, now: Revision) -> bytes:
    """The revisions of a record whose data changes from `old` to `new` with `now`.

    `revisions` are those it had, None before its first change; `was` is then the one that made it.
    """
    past = Revisions(was, {}) if revisions is None else read_revisions(revisions)
    before, after = _members(old), _members(new)
    changed = {name for name in before.keys() | after.keys() if not _same(before, after, name)}
    return msgspec.msgpack.encode(Revisions(past.born, {**past.fields, **dict.fromkeys(sorted(changed), now)}))


def read_revisions(stored: bytes) -> Revisions:
    """Read what `revise` made."""
    return msgspec.msgpack.decode(stored, type=Revisions)


def same_content(old: bytes, new: bytes) -> bool:
    """Whether two JSON texts say the same: members in any order, spaces, and spellings of a string do not matter."""
    if old == new:
        return True
    before = _readable(old)
    return before is not None and jsontext.canonical(before) == jsontext.canonical(jsontext.decode(new))


def _members(data: bytes) -> Mapping[str, object]:
    return _readable(data) or {}


def _readable(data: bytes) -> dict[str, object] | None:
    """What the text says; None for what damage has made unreadable: replacing or removing it must still be possible."""
    try:
        decoded = jsontext.decode(data)
    except (ValueError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _same(before: Mapping[str, object], after: Mapping[str, object], name: str) -> bool:
    if (name in before) != (name in after):
        return False
    return jsontext.canonical(before[name]) == jsontext.canonical(after[name])
