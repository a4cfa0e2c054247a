"""What a request for an erasure names, and what of the owner's that covers."""

from typing import Any, Literal

import msgspec

from records import jsontext
from records.central import Owner
from records.consent.scope import Selector
from records.erasure.erasures import Erasures
from records.erasure.report import Covered
from records.errors import Invalid, Unknown

_NEEDED = {
    "owner": (),
    "connector": ("connector_id",),
    "instance": ("connection_id",),
    "stream": ("connector_id", "stream"),
    "record": ("connector_id", "stream", "key"),
}
_ALLOWED = {
    "instance": ("connector_id",),
    "stream": ("connection_id",),
    "record": ("connection_id",),
}


class ErasureRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is to go. `scope` says it plainly: nothing that is left out makes an erasure larger.

    `key` is a string, or for a compound primary key an array of strings.
    """

    scope: Literal["owner", "connector", "instance", "stream", "record"]
    connector_id: str | None = None
    connector_instance_id: str | None = None
    connection_id: str | None = None
    stream: str | None = None
    key: str | list[str] | None = None
    preview: bool = False


async def covered(erasures: Erasures, owner: Owner, asked: ErasureRequest) -> Covered:
    """What the request covers. Raises `Invalid` (with the member at fault), `Unknown`, `Ambiguous`, `Conflict`."""
    named = _named(asked)
    if asked.scope == "owner":
        return await erasures.coverage.of_owner(owner)
    if asked.scope == "connector":
        return await erasures.coverage.of_connector(owner, named["connector_id"])
    if asked.scope == "instance":
        goes = await erasures.coverage.of_instance(owner, named["connection_id"])
        if "connector_id" in named:
            of = await erasures.coverage.of_connector(owner, named["connector_id"])
            if of.connector != goes.connector:
                raise Unknown("no such connection")
        return goes
    selector = Selector(named["connector_id"], named.get("connection_id"))
    return await erasures.coverage.of_records(owner, selector, named["stream"], named.get("key"))


def _named(asked: ErasureRequest) -> dict[str, Any]:
    """The members that are given, each under one name; those that the scope needs and no others."""
    instances = {asked.connection_id, asked.connector_instance_id} - {None}
    if len(instances) > 1:
        raise Invalid("connection_id and connector_instance_id name different instances", param="connection_id")
    key = asked.key if asked.key is None or isinstance(asked.key, str) else jsontext.canonical(asked.key).decode()
    members = {
        "connector_id": asked.connector_id,
        "connection_id": asked.connection_id or asked.connector_instance_id,
        "stream": asked.stream,
        "key": key,
    }
    named = {name: value for name, value in members.items() if value is not None}
    needed, allowed = _NEEDED[asked.scope], _ALLOWED.get(asked.scope, ())
    for name in needed:
        if not named.get(name, "").strip():
            raise Invalid(f"{name} is missing: an erasure of scope {asked.scope} needs it", param=name)
    for name in named:
        if name not in needed and name not in allowed:
            raise Invalid(f"{name} does not go with an erasure of scope {asked.scope}", param=name)
    return named
