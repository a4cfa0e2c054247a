"""The grant document of the PDPP specification, read strictly into what is enforced. No I/O.

Nothing but the document decides: it is never looked at in the light of what a connector declares later. A member that
is not known here could be a restriction, so a document that has one is not served from.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from records import jsontext, keys, times
from records.central import StoredGrant
from records.consent.scope import Grant, StreamGrant, TimeWindow
from records.errors import Forbidden, Invalid
from records.manifest import MAX_ID, connector_key

VERSION = "0.1.0"
"""The one version of grants that is spoken here."""

AccessMode = Literal["single_use", "continuous"]

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
_Names = Annotated[list[_Name], Meta(min_length=1)]
_Key = Annotated[str, Meta(min_length=1, max_length=keys.MAX_BYTES)]
_Moment = str | UnsetType


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    """What every object of the document has in common: members that are not known are refused."""


class _Subject(_Part):
    id: _Name


class _Client(_Part):
    client_id: _Name


class _Source(_Part):
    kind: _Name
    id: _Name


class _Declaration(_Part):
    version: str


class _TimeConstraint(_Part):
    field: str
    since: _Moment = UNSET
    until: _Moment = UNSET


class _Stream(_Part):
    name: _Name
    instance_ids: _Names
    fields: Annotated[list[str], Meta(min_length=1)]
    time_constraint: _TimeConstraint | UnsetType = UNSET
    resources: Annotated[list[_Key], Meta(min_length=1)] | UnsetType = UNSET


class _Document(_Part):
    version: str
    grant_id: _Name
    issued_at: str
    subject: _Subject
    client: _Client
    source: _Source
    source_declaration: _Declaration
    purpose_code: _Name
    access_mode: AccessMode
    streams: Annotated[list[_Stream], Meta(min_length=1)]
    expires_at: str | None = None
    # What the client promised; it opens and closes nothing here.
    purpose_description: str | None = None
    selection_preset: str | None = None
    retention: dict[str, object] | None = None


def read(document: object, connector: str | None = None) -> Grant:
    """The grant that a decoded document gives. `connector` names its source where that is stored under another id.

    Raises `Invalid` (`unsupported_version`) for a document of another version, `Forbidden` (`grant_invalid`) for one
    that is malformed.
    """
    version = document.get("version") if isinstance(document, Mapping) else None
    if isinstance(version, str) and version != VERSION:
        raise Invalid(f"grants of version {VERSION} are served; this one has another", code="unsupported_version")
    try:
        decoded = msgspec.convert(document, type=_Document)
        for moment in (decoded.issued_at, decoded.expires_at):
            _moment(moment)
        return Grant(
            id=decoded.grant_id,
            client=decoded.client.client_id,
            connector=connector_key(connector or decoded.source.id),
            access_mode=decoded.access_mode,
            streams={stream.name: _stream(stream) for stream in _distinct(decoded.streams)},
        )
    except ValueError as error:  # msgspec's and `Invalid` among them
        raise malformed() from error


def decode(text: bytes) -> Grant:
    """The same for a document that was stored as JSON text; it may be shared: nobody changes it."""
    return _remembered(text) if len(text) <= _REMEMBERED_BYTES else _decode(text)


def _decode(text: bytes) -> Grant:
    try:
        document = jsontext.decode(text)
    except (ValueError, RecursionError) as error:
        raise malformed() from error
    return read(document)


_REMEMBERED_BYTES = 16 << 10
"""Longer documents are read anew for each request, so that what is remembered stays small."""

_remembered = lru_cache(maxsize=256)(_decode)


def status(grant: StoredGrant, now: str) -> Literal["active", "expired", "revoked"]:
    """How a grant stands at that moment."""
    if grant.revoked_at is not None:
        return "revoked"
    return "expired" if grant.expires_at is not None and grant.expires_at <= now else "active"


def malformed() -> Forbidden:
    """The error for a grant that cannot be enforced as it is."""
    return Forbidden("the grant is malformed; nothing is served from it", "grant_invalid")


def _distinct(streams: Sequence[_Stream]) -> Sequence[_Stream]:
    _set([stream.name for stream in streams])
    return streams


def _stream(of: _Stream) -> StreamGrant:
    window = None
    if of.time_constraint is not UNSET:
        since, until = _moment(of.time_constraint.since), _moment(of.time_constraint.until)
        if since is not None and until is not None and since >= until:
            raise ValueError("the window is empty")
        window = TimeWindow(of.time_constraint.field, since, until)
    resources = None if of.resources is UNSET else _set(of.resources)
    return StreamGrant(of.name, _set(of.instance_ids), _set(of.fields), window, resources)


def _set(values: Sequence[str]) -> frozenset[str]:
    distinct = frozenset(values)
    if len(distinct) != len(values):
        raise ValueError("something is named twice")
    return distinct


def _moment(text: str | UnsetType | None) -> str | None:
    if text is None or text is UNSET:
        return None
    moment = times.moment(text)
    if moment is None:
        raise ValueError("not a time")
    return moment
