"""Connector manifests: what a connector declares of its streams, checked once when it is registered.

Unknown members are kept (the manifest is stored as it came) and ignored. Messages say where (`streams[2].views[0]`)
and what to change.
"""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from records import jsontext
from records.errors import Invalid
from records.manifest_json import Members, items_of
from records.manifest_schema import properties_of, require_local_schema, required_of

MAX_BYTES = 1 << 20
MAX_ID = 512
SEMANTICS = ("append_only", "append", "mutable_state")
RANGE_OPERATORS = ("gte", "gt", "lte", "lt")

_REGISTRY_HOST = "registry.pdpp.dev"
_REGISTRY_FOLDER = "/connectors/"


@dataclass(frozen=True, slots=True)
class StreamDeclaration:
    """One declared stream. `raw` is its JSON object as it came; `views` maps the name of a view to its fields.

    `fields` are the top-level fields that the schema declares, in its order; `required` those that it requires.
    """

    name: str
    semantics: str
    schema: Mapping[str, Any]
    primary_key: tuple[str, ...]
    cursor_field: str | None
    consent_time_field: str | None
    selection: Mapping[str, Any] | None
    views: Mapping[str, tuple[str, ...]]
    relationships: tuple[Mapping[str, Any], ...]
    query: Mapping[str, Any]
    raw: Mapping[str, Any]
    fields: tuple[str, ...]
    required: tuple[str, ...]

    @property
    def append_only(self) -> bool:
        """Whether a key that exists is left as it is."""
        return self.semantics != "mutable_state"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A decoded manifest; streams by name, in their order. It may be shared: nobody changes it."""

    connector_id: str
    version: str
    display_name: str
    streams: Mapping[str, StreamDeclaration]

    @property
    def key(self) -> str:
        """The connector's key: `connector_key(connector_id)`."""
        return connector_key(self.connector_id)


def decode(raw: bytes) -> Manifest:
    """Read and check a manifest. Raises `Invalid` with a message that tells what to change; never asks the network."""
    manifest = Members(_decoded(raw), "manifest")
    connector_id = require_id(manifest.text("connector_id"), "connector_id")
    streams: dict[str, StreamDeclaration] = {}
    for where, stream in items_of(manifest.array("streams"), "streams"):
        declaration = _stream(Members(stream, where))
        if declaration.name in streams:
            raise Invalid(f"{where}.name: {declaration.name!r} is declared twice; give each stream its own name")
        streams[declaration.name] = declaration
    if not streams:
        raise Invalid("streams is empty; declare at least one stream")
    return Manifest(
        connector_id,
        manifest.optional_text("version") or "",
        manifest.optional_text("display_name") or connector_id,
        streams,
    )


def connector_key(connector_id: str) -> str:
    """What names the connector here: `https://registry.pdpp.dev/connectors/slack` and `slack` are one.

    Every other id is its own key. Raises `Invalid` as `require_id` does.
    """
    require_id(connector_id, "connector_id")
    try:
        url = urlsplit(connector_id)
    except ValueError:
        return connector_id
    name = url.path.removeprefix(_REGISTRY_FOLDER).removesuffix("/")
    is_registered = (
        url.scheme == "https"
        and url.netloc.lower() == _REGISTRY_HOST
        and url.path.startswith(_REGISTRY_FOLDER)
        and not (url.query or url.fragment or "/" in name)
    )
    return name if is_registered and name else connector_id


def require_id(text: str, param: str) -> str:
    """The id of a connector, instance or stream: 1 to `MAX_ID` characters, no control characters. Raises `Invalid`."""
    if not 0 < len(text) <= MAX_ID or text.isspace():
        raise Invalid(f"{param} must have 1 to {MAX_ID} characters, and not be blank", param=param)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise Invalid(f"{param} must not have control characters", param=param)
    return text


def _decoded(raw: bytes) -> object:
    if len(raw) > MAX_BYTES:
        raise Invalid(f"the manifest is longer than {MAX_BYTES} bytes")
    try:
        raw.decode()
        return jsontext.decode(raw)
    except RecursionError:
        raise Invalid("the manifest is nested too deeply") from None
    except ValueError as error:
        raise Invalid(f"the manifest is not JSON: {error}") from None


def _stream(members: Members) -> StreamDeclaration:
    name = require_id(members.text("name"), members.place("name"))
    semantics = members.text("semantics")
    if semantics not in SEMANTICS:
        raise Invalid(f"{members.place('semantics')} must be one of {', '.join(SEMANTICS)}")
    schema = members.mapping("schema")
    require_local_schema(schema, members.place("schema"))
    fields = dict.fromkeys(properties_of(schema))  # a set in its order
    primary_key = _known(members.texts("primary_key"), fields, members.place("primary_key"))
    if not primary_key or len(set(primary_key)) != len(primary_key):
        raise Invalid(f"{members.place('primary_key')} must name at least one field, and each once")
    return StreamDeclaration(
        name=name,
        semantics=semantics,
        schema=schema,
        primary_key=primary_key,
        cursor_field=_known_field(members, "cursor_field", fields),
        consent_time_field=_known_field(members, "consent_time_field", fields),
        selection=members.optional_mapping("selection"),
        views=_views(members, fields),
        relationships=_relationships(members),
        query=_query(members, fields),
        raw=members.value,
        fields=tuple(fields),
        required=required_of(schema),
    )


def _known_field(members: Members, name: str, fields: Collection[str]) -> str | None:
    field = members.optional_text(name)
    return None if field is None else _known((field,), fields, members.place(name))[0]


def _known(names: tuple[str, ...], fields: Collection[str], where: str) -> tuple[str, ...]:
    for name in names:
        if name not in fields:
            raise Invalid(f"{where}: {name!r} is not in the schema's properties; declare it there")
    return names


def _views(members: Members, fields: Collection[str]) -> dict[str, tuple[str, ...]]:
    views: dict[str, tuple[str, ...]] = {}
    for where, value in items_of(members.optional_array("views"), members.place("views")):
        view = Members(value, where)
        name = view.optional_text("id") or view.text("name")
        views[name] = _known(view.texts("fields"), fields, view.place("fields"))
    return views


def _relationships(members: Members) -> tuple[Mapping[str, Any], ...]:
    relations = []
    for where, value in items_of(members.optional_array("relationships"), members.place("relationships")):
        relation = Members(value, where)
        for name in ("name", "stream", "foreign_key"):
            relation.text(name)
        if relation.text("cardinality") not in ("has_one", "has_many"):
            raise Invalid(f"{relation.place('cardinality')} must be has_one or has_many")
        relations.append(relation.value)
    return tuple(relations)


def _query(members: Members, fields: Collection[str]) -> Mapping[str, Any]:
    query = Members(members.optional_mapping("query") or {}, members.place("query"))
    ranges = Members(query.optional_mapping("range_filters") or {}, query.place("range_filters"))
    for field in _known(tuple(ranges.value), fields, query.place("range_filters")):
        if not set(ranges.texts(field)) <= set(RANGE_OPERATORS):
            raise Invalid(f"{ranges.place(field)} must be some of {', '.join(RANGE_OPERATORS)}")
    for where, value in items_of(query.optional_array("expand"), query.place("expand")):
        Members(value, where).text("name")
    return query.value
