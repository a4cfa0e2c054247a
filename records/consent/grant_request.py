"""What an owner asks a grant to be, and the document that it becomes. No I/O.

Everything is settled here, once: fields are listed, instances are named, times are moments. What a manifest declares
later changes nothing of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from records import keys, times
from records.consent import grants
from records.consent.grants import AccessMode
from records.errors import Invalid
from records.manifest import Manifest, StreamDeclaration, require_id

UNSTATED_PURPOSE = "urn:blobstore:purpose:unstated"
"""The purpose of a grant whose owner names none: a grant must have one."""


class TimeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`since` <= the stream's consent-time field < `until`; date-times or dates, one of them at least."""

    field: str | None = None
    since: str | None = None
    until: str | None = None


class StreamRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A stream, and what of it: all that is declared, of all instances, where nothing less is said.

    `resources` are keys: strings, or arrays of strings for compound ones.
    """

    name: str
    fields: list[str] | None = None
    instance_ids: list[str] | None = None
    time_constraint: TimeRequest | None = None
    resources: list[Any] | None = None


class GrantRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A grant as an owner asks for it. A member that is not known is refused: it could be meant to restrict."""

    client_id: str
    connector_id: str
    streams: list[StreamRequest]
    purpose_code: str | None = None
    access_mode: AccessMode = "continuous"
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What a grant's document says beside what was asked for."""

    grant_id: str
    subject: str
    issued_at: str
    manifest: Manifest
    instances: Collection[str]
    """The connector's living instances, in order."""


def document(request: GrantRequest, frame: Frame) -> dict[str, Any]:
    """The grant document. Raises `Invalid` that names the parameter for what cannot be granted."""
    source = {"kind": "connector", "id": frame.manifest.connector_id}
    made: dict[str, Any] = {
        "version": grants.VERSION,
        "grant_id": frame.grant_id,
        "issued_at": frame.issued_at,
        "subject": {"id": frame.subject},
        "client": {"client_id": require_id(request.client_id, "client_id")},
        "source": source,
        "source_declaration": {"version": frame.manifest.version},
        "purpose_code": require_id(request.purpose_code or UNSTATED_PURPOSE, "purpose_code"),
        "access_mode": request.access_mode,
        "streams": _streams(request.streams, frame),
    }
    if request.expires_at is not None:
        made["expires_at"] = _moment(request.expires_at, "expires_at")
        if made["expires_at"] <= frame.issued_at:
            raise Invalid("expires_at is not in the future", param="expires_at")
    return made


def _streams(asked: Sequence[StreamRequest], frame: Frame) -> list[dict[str, Any]]:
    if not asked:
        raise Invalid("streams is empty; name at least one", param="streams")
    _require_distinct([stream.name for stream in asked], "streams")
    made = []
    for index, stream in enumerate(asked):
        where = f"streams[{index}]"
        declaration = frame.manifest.streams.get(stream.name)
        if declaration is None:
            raise Invalid("the connector's manifest declares no such stream", param=f"{where}.name")
        made.append(_stream(stream, declaration, frame.instances, where))
    return made


def _stream(
    asked: StreamRequest, declaration: StreamDeclaration, instances: Collection[str], where: str
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": asked.name,
        "instance_ids": _instances(asked.instance_ids, instances, f"{where}.instance_ids"),
        "fields": _fields(asked.fields, declaration, f"{where}.fields"),
    }
    if asked.time_constraint is not None:
        made["time_constraint"] = _window(asked.time_constraint, declaration, f"{where}.time_constraint")
    if asked.resources is not None:
        made["resources"] = _resources(asked.resources, declaration, f"{where}.resources")
    return made


def _instances(asked: list[str] | None, living: Collection[str], where: str) -> list[str]:
    if asked is None:
        return list(living)
    _require_some(asked, where)
    for index, instance in enumerate(asked):
        if instance not in living:
            raise Invalid("no such instance of this connector", param=f"{where}[{index}]")
    return asked


def _fields(asked: list[str] | None, declaration: StreamDeclaration, where: str) -> list[str]:
    """Those asked for (all without), and what the schema requires: a record without it would be none."""
    if asked is not None:
        _require_some(asked, where)
    for index, field in enumerate(asked or ()):
        if field not in declaration.fields:
            raise Invalid("the stream declares no such field", "unknown_field", f"{where}[{index}]")
    wanted = {*(declaration.fields if asked is None else asked), *declaration.required}
    return [*(name for name in declaration.fields if name in wanted), *sorted(wanted.difference(declaration.fields))]


def _window(asked: TimeRequest, declaration: StreamDeclaration, where: str) -> Mapping[str, str]:
    field = declaration.consent_time_field
    if field is None:
        raise Invalid("the stream declares no consent_time_field: its records have no time to go by", param=where)
    if asked.field not in (None, field):
        raise Invalid(f"the stream's consent_time_field is {field!r}", param=f"{where}.field")
    window = {"field": field}
    for name, text in (("since", asked.since), ("until", asked.until)):
        if text is not None:
            window[name] = _moment(text, f"{where}.{name}")
    if len(window) == 1:
        raise Invalid("name since, until or both", param=where)
    if "since" in window and "until" in window and window["since"] >= window["until"]:
        raise Invalid("until is not after since", param=f"{where}.until")
    return window


def _resources(asked: list[Any], declaration: StreamDeclaration, where: str) -> list[str]:
    if not asked:
        raise Invalid("it is empty; leave it out for all records", param=where)
    made = []
    for index, key in enumerate(asked):
        try:
            made.append(keys.canonical(key, declaration.primary_key))
        except Invalid as error:
            raise Invalid(str(error), param=f"{where}[{index}]") from None
    _require_distinct(made, where)
    return made


def _require_some(values: Sequence[str], where: str) -> None:
    if not values:
        raise Invalid("it is empty; leave it out for all of them", param=where)
    _require_distinct(values, where)


def _require_distinct(values: Sequence[str], where: str) -> None:
    if len(set(values)) != len(values):
        raise Invalid("something is named twice", param=where)


def _moment(text: str, where: str) -> str:
    moment = times.moment(text)
    if moment is None:
        raise Invalid("not a date-time such as 2026-11-23T10:00:00Z", param=where)
    return moment
