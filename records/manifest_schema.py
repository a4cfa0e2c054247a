"""The JSON Schemas of a manifest: valid 2020-12, complete in themselves, and what fields they declare."""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from records.errors import Invalid

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_MESSAGE = 300


def require_local_schema(schema: Mapping[str, Any], where: str) -> None:
    """Raise `Invalid` unless this is a JSON Schema 2020-12 that refers to nothing outside itself.

    A `$ref` must begin with `#`. Only the root may have an `$id`: further in, it would change what `#` means.
    """
    if str(schema.get("$schema", _DIALECT)).removesuffix("#") != _DIALECT:
        raise Invalid(f"{where}.$schema must be {_DIALECT}, or be left out")
    for part in _objects(schema):
        for keyword in ("$ref", "$dynamicRef"):
            target = part.get(keyword)
            if isinstance(target, str) and not target.startswith("#"):
                raise Invalid(f"{where}: {keyword} {target!r} leaves the document; only #… is allowed")
        if isinstance(part.get("$id"), str) and part is not schema:
            raise Invalid(f"{where}: $id is allowed at the root of a schema only")
    try:
        jsonschema_rs.Draft202012Validator(dict(schema), offline=True)
    except ValueError as error:
        reason = getattr(error, "message", str(error))
        raise Invalid(f"{where} is no JSON Schema 2020-12: {reason[:_MAX_MESSAGE]}") from None


def properties_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The top-level fields that the schema declares: its own, and those of what it refers to or includes as a whole."""
    return tuple(dict.fromkeys(name for part in _parts(schema) for name in _mapping(part.get("properties"))))


def required_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The top-level fields that the schema requires."""
    return tuple(dict.fromkeys(name for part in _parts(schema) for name in part.get("required", ())))


def _parts(root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The root, and every schema that applies to the same value through `$ref` and `allOf`, each once."""
    stack: list[Any] = [root]
    seen: list[Any] = []
    while stack:
        part = stack.pop()
        if not isinstance(part, Mapping) or any(part is other for other in seen):
            continue
        seen.append(part)
        yield part
        stack.extend(reversed(part.get("allOf", ())))
        if isinstance(part.get("$ref"), str):
            stack.append(_resolved(root, part["$ref"]))


def _resolved(root: Mapping[str, Any], ref: str) -> object:
    """What a JSON Pointer fragment points at; None where it is an anchor, or leads through an array."""
    found: object = root
    for name in ref.removeprefix("#").split("/")[1:]:
        found = _mapping(found).get(name.replace("~1", "/").replace("~0", "~"))
    return found if ref == "#" or ref.startswith("#/") else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every object in the document, however it is nested."""
    stack: list[Any] = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            yield part
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
