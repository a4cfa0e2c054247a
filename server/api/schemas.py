"""Shapes of what goes over the wire, as JSON Schema 2020-12, by the names that operations use."""

from typing import Any

Schema = dict[str, Any]

ANY: Schema = {}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
MOMENT: Schema = {"type": "string", "format": "date-time"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
TEXTS: Schema = {"type": "array", "items": TEXT}
OBJECT: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def optional(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record_of(required: dict[str, Schema], **members: Schema) -> Schema:
    """An object with these members, some of which must be there."""
    return {"type": "object", "properties": {**required, **members}, "required": list(required)}


def tagged(name: str, required: dict[str, Schema], **members: Schema) -> Schema:
    """An object that says by its member `object` what it is."""
    return record_of({"object": {"const": name}, **required}, **members)


def list_of(item: Schema, required: dict[str, Schema] | None = None, **members: Schema) -> Schema:
    """A list object."""
    return tagged("list", {"data": {"type": "array", "items": item}, **(required or {})}, **members)


_COUNTS: dict[str, Schema] = {
    "deleted_record_count": COUNT,
    "deleted_stream_count": COUNT,
    "deleted_blob_count": COUNT,
    "deleted_bytes": COUNT,
}

_FRESHNESS = record_of(
    {"captured_at": optional(MOMENT), "status": {"enum": ["current", "stale", "unknown"]}},
    last_attempted_at=optional(MOMENT),
)

_TIME_CONSTRAINT = record_of({"field": TEXT}, since=MOMENT, until=MOMENT)

_STREAM_GRANT = record_of(
    {"name": TEXT, "instance_ids": TEXTS, "fields": TEXTS}, time_constraint=_TIME_CONSTRAINT, resources=TEXTS
)

_REJECTION = record_of({"input_index": COUNT, "code": TEXT, "message": TEXT}, key=TEXT)

_ERROR = record_of(
    {"type": TEXT, "code": TEXT, "message": TEXT, "request_id": TEXT},
    param=TEXT,
    available_connections={"type": "array", "items": record_of({"connection_id": TEXT})},
    retry_with=TEXT,
    resource_metadata=TEXT,
    line=COUNT,
    input_index=COUNT,
)

SCHEMAS: dict[str, Schema] = {
    "Error": record_of({"error": _ERROR}),
    "Freshness": _FRESHNESS,
    "Stream": tagged(
        "stream",
        {"name": TEXT, "record_count": COUNT, "last_updated": optional(TEXT)},
        connector_id=TEXT,
        freshness=ref("Freshness"),
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
            "views": {"type": "array", "items": OBJECT},
            "relationships": {"type": "array", "items": OBJECT},
        },
    ),
    "Connector": tagged(
        "connector",
        {
            "connector_id": TEXT,
            "connector_key": TEXT,
            "source": record_of({"kind": TEXT, "id": TEXT}),
            "stream_count": COUNT,
            "streams": {"type": "array", "items": ref("Stream")},
        },
        display_name=TEXT,
    ),
    "ConnectorList": list_of(ref("Connector")),
    "Manifest": {
        "type": "object",
        "description": "What a connector declares of itself; unknown members are kept and ignored.",
        "properties": {
            "connector_id": {"type": "string", "minLength": 1, "maxLength": 512},
            "streams": {"type": "array", "minItems": 1, "items": OBJECT},
        },
        "required": ["connector_id", "streams"],
    },
    "ConnectorRegistered": record_of({"connector_id": TEXT, "connector_key": TEXT}),
    "Record": tagged(
        "record",
        {"id": TEXT, "stream": TEXT, "emitted_at": TEXT},
        data=OBJECT,
        deleted={"const": True},
        deleted_at=TEXT,
        connector_id=TEXT,
        connector_instance_id=TEXT,
        expanded={"type": "object", "additionalProperties": {"type": ["object", "null"]}},
    ),
    "RecordList": list_of(
        ref("Record"),
        {"url": TEXT, "has_more": FLAG},
        next_cursor=TEXT,
        next_changes_since=TEXT,
        freshness=ref("Freshness"),
        meta=record_of({"warnings": {"type": "array", "items": record_of({"code": TEXT, "message": TEXT})}}),
    ),
    "IngestReport": record_of(
        {
            "stream": TEXT,
            "records_accepted": COUNT,
            "records_attempted": COUNT,
            "records_rejected": COUNT,
            "rejections": {"type": "array", "items": _REJECTION},
            "errors": {"type": "array", "maxItems": 0},
        },
        rejections_truncated={"const": True},
    ),
    "StateUpdate": record_of({"state": {"type": "object", "additionalProperties": ANY}}),
    "State": tagged(
        "stream_state",
        {"connector_id": TEXT, "state": {"type": "object"}, "updated_at": optional(MOMENT)},
        grant_id=optional(TEXT),
    ),
    "Blob": tagged(
        "blob",
        {
            "blob_id": {"type": "string", "pattern": "^blob_b3_[0-9a-f]{64}$"},
            "sha256": DIGEST,
            "size_bytes": COUNT,
            "mime_type": TEXT,
        },
    ),
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
    "ConnectionErased": tagged(
        "owner_connection_delete",
        {
            "connector_id": TEXT,
            "connection_id": optional(TEXT),
            "deleted": {"const": True},
            **_COUNTS,
            "erasure_id": TEXT,
        },
    ),
    "Erasure": tagged(
        "erasure",
        {
            "erasure_id": TEXT,
            "status": {"enum": ["running", "done"]},
            "connector_id": TEXT,
            "connection_ids": TEXTS,
            "stream": optional(TEXT),
            **_COUNTS,
            "requested_at": MOMENT,
            "completed_at": optional(MOMENT),
        },
    ),
    "SpineEvent": tagged(
        "spine_event",
        {"seq": COUNT, "at": MOMENT, "body": record_of({"kind": TEXT}), "previous": DIGEST, "hash": DIGEST},
    ),
    "SpineEventList": list_of(ref("SpineEvent"), {"has_more": FLAG, "next_after": COUNT}),
    "GrantRequest": record_of(
        {
            "client_id": {"type": "string", "minLength": 1},
            "connector_id": {"type": "string", "minLength": 1},
            "streams": {"type": "array", "minItems": 1, "items": OBJECT},
        },
        purpose_code=TEXT,
        access_mode={"enum": ["single_use", "continuous"]},
        expires_at=MOMENT,
    ),
    "GrantDocument": record_of(
        {
            "version": {"const": "0.1.0"},
            "grant_id": TEXT,
            "issued_at": MOMENT,
            "subject": record_of({"id": TEXT}),
            "client": record_of({"client_id": TEXT}),
            "source": record_of({"kind": TEXT, "id": TEXT}),
            "source_declaration": record_of({"version": TEXT}),
            "purpose_code": TEXT,
            "access_mode": {"enum": ["single_use", "continuous"]},
            "streams": {"type": "array", "items": _STREAM_GRANT},
        },
        expires_at=MOMENT,
    ),
    "Grant": tagged(
        "grant",
        {
            "grant_id": TEXT,
            "client_id": TEXT,
            "status": {"enum": ["active", "expired", "revoked"]},
            "grant": ref("GrantDocument"),
        },
        token=TEXT,
    ),
    "GrantList": list_of(ref("Grant")),
    "Introspection": record_of(
        {"active": FLAG},
        pdpp_token_kind={"enum": ["owner", "client"]},
        subject_id=TEXT,
        client_id=TEXT,
        grant_id=TEXT,
        exp=COUNT,
    ),
    "Health": record_of({"status": {"const": "ok"}}),
    "Readiness": record_of({"status": {"enum": ["ready", "unavailable"]}, "checks": OBJECT}),
    "ResourceMetadata": record_of(
        {
            "resource": TEXT,
            "authorization_servers": TEXTS,
            "bearer_methods_supported": TEXTS,
            "pdpp_core_query_base": TEXT,
            "pdpp_token_kinds_supported": TEXTS,
        },
        resource_name=TEXT,
    ),
}
