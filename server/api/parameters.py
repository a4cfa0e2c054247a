"""Parameters of queries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from server.api.schema import ID, NOT_BLANK, TEXT, Schema, array_of, map_of


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter; `style` for those that are objects or arrays."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: NOT_BLANK)
    required: bool = False
    style: Mapping[str, object] = field(default_factory=dict)


def optional(of: Parameter) -> Parameter:
    """The same, where it may be said elsewhere."""
    return replace(of, required=False)


_LARGEST = 10**18 - 1
_WHOLE: Schema = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
_SOME: Schema = {"type": "integer", "minimum": 1, "maximum": _LARGEST}
_FIELDS: Schema = {"type": "string", "pattern": "^[^,]+(,[^,]+)*$", "minLength": 1}
_DEEP = {"style": "deepObject", "explode": True}

PATH: Mapping[str, Schema] = {"connector_id": ID}
"""What parts of paths are, where they are more than some text."""

CONNECTOR = Parameter("connector_id", "The connector, by its id or its key.", ID)
INSTANCE = (
    Parameter("connector_instance_id", "One account of the connector.", ID),
    Parameter("connection_id", "Another name of connector_instance_id; where both are given they are the same.", ID),
)
SELECTOR = (CONNECTOR, *INSTANCE)
RUN = Parameter("run_id", "Taken from the collection runtime; means nothing here.")
WRITTEN = (Parameter("connector_id", "The connector that writes.", ID, required=True), *INSTANCE)
GRANT = Parameter("grant_id", "The namespace of a continuous grant.")
UPLOAD = (
    Parameter("stream", "The record's stream.", required=True),
    Parameter("record_key", "The record's key.", required=True),
    Parameter(
        "mime_type",
        "The bytes' media type; else the Content-Type.",
        {"type": "string", "pattern": "^[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}$"},
    ),
    Parameter(
        "json_path", "`@record`, or a JSON Pointer into the record.", {"type": "string", "pattern": "^(@record$|/)"}
    ),
)
EVENTS = (
    Parameter("after", "The event beyond which to begin.", _WHOLE),
    Parameter("limit", "Events; 100 where it is not given, 1000 at most.", _SOME),
)
ERASURES = (
    Parameter("after", "The id of the erasure beyond which to begin."),
    Parameter("limit", "Erasures; 25 where it is not given, 100 at most.", _SOME),
)
COLLECT = (
    Parameter(
        "grace",
        "Spares what became an orphan more recently: 0 where it is not given, else as `12h` or `30d`.",
        {"type": "string", "pattern": "^(0|[1-9][0-9]{0,3}[smhdw])$"},
    ),
    Parameter("dry_run", "Only count what would go.", {"enum": ["true", "false"]}),
    Parameter(
        "max_share",
        "Refuse to remove more than this share of all that the owner stores; 0.5 where it is not given.",
        {"type": "string", "pattern": r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$"},
    ),
)
DISCLOSURES = (
    Parameter("grant", "Only through this grant."),
    Parameter("connector", "Only of this connector.", ID),
    Parameter("blob", "Only of this blob."),
)
SHAPE = (
    Parameter("fields", "Top-level fields, with commas between them; required ones always come.", _FIELDS),
    Parameter("view", "Owners only: the fields of a declared view. Excludes fields."),
    Parameter(
        "expand[]",
        "Owners only: declared relations to serve with each record.",
        array_of(TEXT, uniqueItems=True),
        style={"style": "form", "explode": True},
    ),
    Parameter(
        "expand_limit",
        "Owners only: records of a has_many relation, which is expanded.",
        map_of({"type": "integer", "minimum": 1}),
        style=_DEEP,
    ),
)
LIST = (
    Parameter("limit", "Records of a page: 25 where it is not given, clamped to 100.", _SOME),
    Parameter("cursor", "The `next_cursor` of the page before."),
    Parameter("order", "The direction of (cursor field, key).", {"enum": ["desc", "asc"]}),
    Parameter("changes_since", "A `next_changes_since`, or `beginning`: what changed since. Excludes order."),
    Parameter(
        "filter",
        "Owners only: `filter[field]=v`, and `filter[field][gte|gt|lte|lt]=v` where declared.",
        map_of(TEXT),
        style=_DEEP,
    ),
    *SHAPE,
)
