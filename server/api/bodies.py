"""Shapes of what is sent: manifests, lines of an ingest, sync state, grant requests."""

from server.api.schema import (
    BLOB_ID,
    FLAG,
    ID,
    MOMENT,
    NOT_BLANK,
    OBJECT,
    SOME_TEXT,
    TEXT,
    TEXTS,
    Schema,
    array_of,
    closed,
    map_of,
    open_to_others,
    optional,
    record_of,
    ref,
)

_DATE: Schema = {"anyOf": [MOMENT, {"type": "string", "format": "date"}]}

_VIEW = open_to_others(record_of({"fields": TEXTS}, id=optional(TEXT))) | {
    "anyOf": [open_to_others(record_of({name: SOME_TEXT})) for name in ("id", "name")],
    "description": "`fields` are declared by the schema.",
}
_RELATIONSHIP = open_to_others(
    record_of(
        {
            "name": SOME_TEXT,
            "stream": SOME_TEXT,
            "foreign_key": SOME_TEXT,
            "cardinality": {"enum": ["has_one", "has_many"]},
        }
    )
)
_QUERY = open_to_others(
    record_of(
        {},
        range_filters=optional(map_of(array_of({"enum": ["gte", "gt", "lte", "lt"]}))),
        expand=optional(array_of(open_to_others(record_of({"name": SOME_TEXT})))),
    )
)
_TIME_REQUEST = closed(
    record_of({}, field=optional(TEXT), since=optional(_DATE), until=optional(_DATE))
    | {"anyOf": [{"required": ["since"]}, {"required": ["until"]}]}
)
_KEY: Schema = {
    "anyOf": [SOME_TEXT, array_of({"type": ["string", "number", "boolean"]}, minItems=1)],
    "description": "A string, or for a compound primary key the array of its parts.",
}

_INSTANCE = ("connection_id", "connector_instance_id")
"""Two names of one thing: both may be given, if they say the same."""


def _erasure(scope: str, *optionally: str, **needed: Schema) -> Schema:
    """A request for an erasure of this scope: nothing else may be named."""
    more = dict.fromkeys(optionally, ID)
    return closed(record_of({"scope": {"const": scope}, **needed}, **more, preview=FLAG))


BODIES: dict[str, Schema] = {
    "Manifest": open_to_others(
        record_of(
            {"connector_id": ID, "streams": array_of(ref("StreamDeclaration"), minItems=1)},
            version=optional(TEXT),
            display_name=optional(TEXT),
        )
    )
    | {"description": "What a connector declares of itself; members that are not named here are kept and ignored."},
    "StreamDeclaration": open_to_others(
        record_of(
            {
                "name": ID,
                "semantics": {"enum": ["append_only", "append", "mutable_state"]},
                "schema": OBJECT | {"description": "JSON Schema 2020-12; every $ref stays within it."},
                "primary_key": array_of(TEXT, minItems=1, uniqueItems=True),
            },
            cursor_field=optional(TEXT),
            consent_time_field=optional(TEXT),
            selection=optional(OBJECT),
            views=optional(array_of(_VIEW)),
            relationships=optional(array_of(_RELATIONSHIP)),
            query=optional(_QUERY),
        )
    )
    | {"description": "A stream, named once in its manifest; the fields that it names are properties of its schema."},
    "IngestLine": record_of(
        {"key": _KEY, "emitted_at": MOMENT},
        data=OBJECT | {"description": "The record; a deletion needs none."},
        op={"enum": ["upsert", "delete", None]},
    )
    | {"description": "One line of an ingest. A line that is not like this is rejected alone."},
    "StateUpdate": record_of({"state": map_of({}, description="Any JSON, by the names of streams.")}),
    "GrantRequest": closed(
        record_of(
            {"client_id": ID, "connector_id": ID, "streams": array_of(ref("StreamRequest"), minItems=1)},
            purpose_code={"anyOf": [ID, {"type": ["string", "null"], "maxLength": 0}]},
            access_mode={"enum": ["single_use", "continuous"]},
            expires_at=optional(_DATE),
        )
    ),
    "StreamRequest": closed(
        record_of(
            {"name": TEXT},
            fields=optional(array_of(TEXT, minItems=1, uniqueItems=True)),
            instance_ids=optional(array_of(TEXT, minItems=1, uniqueItems=True)),
            time_constraint=optional(_TIME_REQUEST),
            resources=optional(array_of(_KEY, minItems=1, uniqueItems=True)),
        )
    )
    | {"description": "A stream, and what of it: everything where nothing less is said."},
    "ErasureRequest": {
        "anyOf": [ref(f"{scope}Erasure") for scope in ("Owner", "Connector", "Instance", "Stream", "Record")],
        "description": "What is to go. Nothing that is left out makes an erasure larger.",
    },
    "OwnerErasure": _erasure("owner"),
    "ConnectorErasure": _erasure("connector", connector_id=ID),
    "InstanceErasure": _erasure("instance", "connector_id", *_INSTANCE)
    | {"anyOf": [{"required": [name]} for name in _INSTANCE]},
    "StreamErasure": _erasure("stream", *_INSTANCE, connector_id=ID, stream=ID),
    "RecordErasure": _erasure(
        "record",
        *_INSTANCE,
        connector_id=ID,
        stream=ID,
        key={"anyOf": [NOT_BLANK, array_of(TEXT, minItems=1)]},
    ),
    "BlobQuestion": closed(
        record_of(
            {"blobs": array_of(ref("BlobAsked"), maxItems=1000)},
        )
    ),
    "BlobAsked": closed(
        record_of(
            {"blob_id": BLOB_ID},
            size_bytes=optional({"type": "integer", "minimum": 0, "maximum": 10**15}),
        )
    )
    | {"description": "A blob; with its size, where a challenge is wanted."},
    "BlobProof": closed(
        record_of(
            {
                "token": TEXT | {"description": "That of the challenge."},
                "proof": TEXT | {"description": "The keyed BLAKE3 of the ranges, in order, in hexadecimal digits."},
            }
        )
    ),
    "TokenForm": record_of({"token": SOME_TEXT}, token_type_hint=TEXT),
}
