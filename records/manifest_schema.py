"""The JSON Schemas of a manifest: valid 2020-12, complete in themselves, and what fields they declare."""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from records.errors import Invalid

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_MESSAGE = 300
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def require_local_schema(schema: Mapping[str, Any], where: str) -> None:
    """Raise `Invalid` unless this is a JSON Schema 2020-12 that refers to nothing outside itself.

    A `$ref` must begin with `#`. Only the root may have an `$id`: further in, it would change what `#` means.
    """
    if str(schema.get("$schema", _DIALECT)).removesuffix("#") != _DIALECT:
        raise Invalid(f"{where}.$schema must be {_DIALECT}, or be left out")
    targets: dict[str, None] = {}
    anchors: set[str] = set()
    for part in _objects(schema):
        for keyword in ("$ref", "$dynamicRef"):
            target = part.get(keyword)
            if isinstance(target, str) and not target.startswith("#"):
                raise Invalid(f"{where}: {keyword} {target[:_MAX_MESSAGE]!r} leaves the document; only #… is allowed")
            if isinstance(target, str):
                targets[target] = None
        anchors |= {f"#{part[name]}" for name in ("$anchor", "$dynamicAnchor") if isinstance(part.get(name), str)}
        if isinstance(part.get("$id"), str) and part is not schema:
            raise Invalid(f"{where}: $id is allowed at the root of a schema only")
    _require_meta(schema, where)
    for target in targets:
        if target not in anchors and not isinstance(_resolved(schema, target), Mapping | bool):
            raise Invalid(f"{where} is no JSON Schema 2020-12: {target[:_MAX_MESSAGE]!r} leads to no schema in it")


def _require_meta(schema: Mapping[str, Any], where: str) -> None:
    try:
        _meta().validate(schema)
    except ValueError as error:
        reason = getattr(error, "message", str(error))
        raise Invalid(f"{where} is no JSON Schema 2020-12: {reason[:_MAX_MESSAGE]}") from None


@cache
def _meta() -> "Draft202012Validator":
    """What judges a schema as data.

    To compile the schema itself takes time exponential in its length: each level of a few hostile bytes
    (unevaluatedProperties beside two equal $refs) makes it several times as long.
    """
    from jsonschema_rs import Draft202012Validator  # 7 MiB, for which a server that is idle has no use

    return Draft202012Validator({"$ref": _DIALECT}, validate_formats=True, offline=True)


def uses_keyword(schema: Mapping[str, Any], keywords: Collection[str]) -> bool:
    """Whether one of the keywords stands anywhere in the document."""
    return any(keyword in part for part in _objects(schema) for keyword in keywords)


def properties_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The top-level fields that the schema declares: its own, and those of what it refers to or includes as a whole."""
    return tuple(dict.fromkeys(name for part in _parts(schema) for name in _mapping(part.get("properties"))))


def required_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The top-level fields that the schema requires."""
    names = (name for part in _parts(schema) for name in _array(part.get("required")))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def _parts(root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The root, and every schema that applies to the same value through `$ref` and `allOf`, each once.

    A `$ref` may lead to where no keyword stands: what is there was not judged, and may have any form.
    """
    stack: list[Any] = [root]
    seen: set[int] = set()  # identities: the root keeps every part alive
    while stack:
        part = stack.pop()
        if not isinstance(part, Mapping) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        stack.extend(reversed(_array(part.get("allOf"))))
        if isinstance(part.get("$ref"), str):
            stack.append(_resolved(root, part["$ref"]))


def _resolved(root: Mapping[str, Any], ref: str) -> object:
    """What a JSON Pointer fragment points at; None where it is an anchor, or leads to nothing."""
    found: object = root
    for name in unquote(ref.removeprefix("#")).split("/")[1:]:
        if isinstance(found, list):
            found = found[int(name)] if _INDEX.fullmatch(name) and int(name) < len(found) else None
        else:
            found = _mapping(found).get(name.replace("~1", "/").replace("~0", "~"))
    return found if ref == "#" or ref.startswith("#/") else None


def _array(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


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
