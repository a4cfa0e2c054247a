"""Shapes of records, of the streams that they are in, and of what brings them."""

from server.api.schema import (
    COUNT,
    FLAG,
    MOMENT,
    OBJECT,
    TEXT,
    TEXTS,
    Schema,
    array_of,
    list_of,
    map_of,
    optional,
    record_of,
    ref,
    tagged,
)

_FRESHNESS = record_of(
    {"captured_at": optional(MOMENT), "status": {"enum": ["current", "stale", "unknown"]}},
    last_attempted_at=optional(MOMENT),
)

_REJECTION = record_of(
    {
        "input_index": COUNT,
        "code": {
            "enum": [
                "malformed_ndjson",
                "invalid_utf8",
                "invalid_record_identity",
                "invalid_record",
                "blob_not_stored",
            ]
        },
        "message": {"type": "string", "maxLength": 500},
    },
    key=TEXT,
)

_WARNING = record_of(
    {"code": {"const": "limit_clamped"}, "message": TEXT},
    param=TEXT,
    detail=record_of({"requested_limit": COUNT, "max_limit": COUNT}),
)

_RELATED: Schema = {
    "anyOf": [ref("Record"), list_of(ref("Record"), {"has_more": FLAG}), {"type": "null"}],
    "description": "A list for has_many; a record, or null, for has_one.",
}

_PLACE: dict[str, Schema] = {"id": TEXT, "stream": TEXT, "connector_id": TEXT, "connector_instance_id": TEXT}

SOURCE = record_of({"kind": {"const": "connector"}, "id": TEXT})

RECORDS: dict[str, Schema] = {
    "Freshness": _FRESHNESS,
    "Stream": tagged(
        "stream",
        {
            "name": TEXT,
            "connector_id": TEXT,
            "record_count": COUNT,
            "last_updated": optional(MOMENT),
            "freshness": ref("Freshness"),
        },
    ),
    "StreamList": list_of(ref("Stream")),
    "StreamMetadata": tagged(
        "stream_metadata",
        {
            "name": TEXT,
            "connector_id": TEXT,
            "semantics": {"enum": ["append_only", "append", "mutable_state"]},
            "schema": OBJECT,
            "primary_key": TEXTS,
            "cursor_field": optional(TEXT),
            "consent_time_field": optional(TEXT),
            "selection": optional(OBJECT),
            "query": OBJECT,
            "views": array_of(OBJECT),
            "relationships": array_of(OBJECT),
        },
    ),
    "Connector": tagged(
        "connector",
        {
            "connector_id": TEXT,
            "connector_key": TEXT,
            "source": SOURCE,
            "display_name": TEXT,
            "stream_count": COUNT,
            "streams": array_of(ref("Stream")),
        },
    ),
    "ConnectorList": list_of(ref("Connector")),
    "ConnectorRegistered": record_of({"connector_id": TEXT, "connector_key": TEXT}),
    "Connection": tagged(
        "connection",
        {
            "connection_id": TEXT,
            "connector_instance_id": TEXT,
            "connector_id": TEXT,
            "is_default": FLAG,
            "created_at": MOMENT,
        },
    ),
    "ConnectionList": list_of(ref("Connection")),
    "Record": tagged(
        "record",
        {**_PLACE, "data": OBJECT, "emitted_at": TEXT},
        expanded=map_of(_RELATED),
    ),
    "Tombstone": tagged(
        "record",
        {**_PLACE, "deleted": {"const": True}, "deleted_at": TEXT, "emitted_at": TEXT},
    )
    | {"description": "What a list of changes says of a record that is gone, or no longer seen."},
    "RecordList": list_of(
        {"anyOf": [ref("Record"), ref("Tombstone")]},
        {"url": TEXT, "has_more": FLAG},
        next_cursor=TEXT,
        next_changes_since=TEXT,
        freshness=ref("Freshness"),
        meta=record_of({"warnings": array_of(_WARNING)}),
    ),
    "IngestReport": record_of(
        {
            "stream": TEXT,
            "records_accepted": COUNT,
            "records_attempted": COUNT,
            "records_rejected": COUNT,
            "rejections": array_of(_REJECTION),
            "errors": {"type": "array", "maxItems": 0},
        },
        rejections_truncated={"const": True},
    ),
    "State": tagged(
        "stream_state",
        {"connector_id": TEXT, "grant_id": optional(TEXT), "state": map_of({}), "updated_at": optional(MOMENT)},
    ),
}
